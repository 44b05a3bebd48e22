"""Floor 2: codecs. Maps between data and the space in which it is diffused."""

from pellucid.core.registry import Registry

codecs = Registry("codec", __name__, {
    "identity": "identity.Identity",
    "kl": "kl.KL",
    "loudness": "loudness.Loudness",
    "spectrogram": "spectrogram.Spectrogram",
})

__getattr__, __dir__, __all__ = codecs.module_interface()
