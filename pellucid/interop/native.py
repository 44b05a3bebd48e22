"""Which pipelines of diffusers are made of parts that are known here."""

from pellucid.interop.layout import Layout
from pellucid.interop.published import OWN, PREDICTIONS, SAMPLERS

STABLE = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
PLAIN = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline", "LDMPipeline")
"""Pipelines that make pictures of nothing in particular."""
COMPONENTS = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "vae": ("AutoencoderKL",),
    "vqvae": ("VQModel",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "scheduler": tuple(SAMPLERS),
}


def foreign_part(layout: Layout) -> str | None:
    """What of a folder's pipeline is not known here, in words, so that diffusers has to run it; None when all is."""
    if layout.name not in (*STABLE, *PLAIN):
        return f"its pipeline is a {layout.name}"
    for part, known in COMPONENTS.items():
        if part in layout.parts and layout.parts[part][1] not in known:
            return f"its {part} is a {layout.parts[part][1]}"
    network, levels = layout.config("unet"), layout.config("scheduler")
    if network.get("time_cond_proj_dim") or network.get("class_embed_type") or network.get("num_class_embeds"):
        return "its network is told more than noise level and caption"
    if network["in_channels"] not in (network["out_channels"], network["out_channels"] / 2):
        return f"its network takes {network['in_channels']} channels in"
    if any(levels.get(name) for name in OWN) or levels.get("prediction_type", "epsilon") not in PREDICTIONS:
        return "its sampler has settings of its own"
    return None
