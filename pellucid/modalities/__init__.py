"""Floor 5: kinds of data. Each knows how to read, write and show one, and names its defaults and its metrics."""

from pellucid.core.registry import Registry

modalities = Registry("modality", __name__, {
    "series": "series.Series", "sound": "sound.Sound", "image": "image.Image",
})
__getattr__, __dir__, __all__ = modalities.module_interface()
