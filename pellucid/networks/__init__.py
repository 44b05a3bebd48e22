"""Networks: bare modules (x, c_noise, vector) -> tensor that denoisers wrap. One file each, one line here."""

from pellucid.core.registry import Registry

networks = Registry("network", __name__, {
    "unet": "unet.UNet",
    "transformer": "transformer.Transformer",
    "mlp": "mlp.MLP",
})

__getattr__, __dir__, __all__ = networks.module_interface()
