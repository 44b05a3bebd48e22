"""Floor 5: kinds of data. Each knows how to read, write and show one, and names its defaults and its metrics."""

from pellucid.core.registry import Registry

# The first that recognises its files is taken: pictures may have sounds beside them, tables tell of sounds.
modalities = Registry("modality", __name__, {
    "joint": "joint.Joint",
    "sound": "sound.Sound", "video": "video.Video", "scan": "scan.Scan", "series": "series.Series", "text": "text.Text",
    "image": "image.Image",
})
__getattr__, __dir__, __all__ = modalities.module_interface()
