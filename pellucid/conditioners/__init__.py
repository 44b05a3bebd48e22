"""Conditioners: from what is asked for (a label, a caption, given pixels) to what a network takes in. One file each."""

from pellucid.core.registry import Registry

conditioners = Registry("conditioner", __name__, {
    "caption": "caption.Caption",
    "given": "given.Given",
    "frames": "frames.Frames",
    "label": "label.Label",
    "pretrained": "pretrained.Pretrained",
})

__getattr__, __dir__, __all__ = conditioners.module_interface()
