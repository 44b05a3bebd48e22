"""Pictures as networks for photographs want them."""

from torch import Tensor
from torch.nn.functional import interpolate

from pellucid.core.errors import DataError


def resized_rgb(pictures: Tensor, side: int) -> Tensor:
    """(B, 1 or 3, H, W) to (B, 3, side, side), by antialiased bicubic interpolation, kept within [-1, 1].

    Raises:
        DataError: another number of channels.
    """
    if pictures.shape[1] not in (1, 3):
        raise DataError(f"Pictures with {pictures.shape[1]} channels have no colours; this feature network sees 1 or 3")
    x = pictures.expand(-1, 3, -1, -1)
    if x.shape[2:] == (side, side):
        return x
    return interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
