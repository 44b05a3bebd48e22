"""Features of the Inception-v3 behind published FID figures: 2,048 means over the last layer's positions.

Szegedy et al. 2016, "Rethinking the Inception architecture", with what the network of December 2015, on which Heusel et al.
2017 defined the Fréchet Inception distance, does differently: 1,008 classes, means that leave out the padding, and a
maximum in place of a mean in the last block. Pictures are resized to 299 x 299 by antialiased bicubic interpolation, as
Parmar et al. 2022, "On aliased resizing and surprising subtleties in GAN evaluation", settle it; grey ones become RGB.

The weights are the user's, `pt_inception-2015-12-05-6726825d.pth` of the project pytorch-fid made a safetensors file.
"""

from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor
from torch.nn.functional import max_pool2d

from pellucid.core.errors import ConfigError
from pellucid.evaluation.inception_block import Branches, Convolution, InceptionBlock
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.rgb import resized_rgb
from pellucid.evaluation.source import Source
from pellucid.evaluation.weights import load_weights

SIDE = 299
ROW, COLUMN = (1, 7), (7, 1)

AT_35: Branches = (
    (("branch1x1", 64, 1),),
    (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
)
TO_17: Branches = (
    (("branch3x3", 384, 3),),
    (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
)
TO_8: Branches = (
    (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)),
    (("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, ROW), ("branch7x7x3_3", 192, COLUMN), ("branch7x7x3_4", 192, 3)),
)
AT_8: Branches = (
    (("branch1x1", 320, 1),),
    (("branch3x3_1", 384, 1), ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
    (
        ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3),
        ("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1)),
    ),
)  # fmt: skip
"""Blocks by the side of what they see: names and widths are those of the weights."""


class InceptionFeatures(FeatureNetwork):
    """Pictures (B, 1 or 3, H, W) in [-1, 1] to features (B, 2048). The parts have the names that the weights have."""

    batch: ClassVar[int] = 32

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        for letter, width, pooled in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64)):
            self.add_module(f"Mixed_5{letter}", InceptionBlock(width, AT_35, pooled=pooled))
        self.Mixed_6a = InceptionBlock(288, TO_17, pool="halve")
        for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
            self.add_module(f"Mixed_6{letter}", InceptionBlock(768, at_17(width)))
        self.Mixed_7a = InceptionBlock(768, TO_8, pool="halve")
        self.Mixed_7b = InceptionBlock(1280, AT_8, fork=True)
        self.Mixed_7c = InceptionBlock(2048, AT_8, pool="max", fork=True)

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        if weights is None:
            raise ConfigError("The features 'inception' need their weights: give --weights FILE.safetensors")
        network = cls()
        load_weights(network, weights, unused=("fc.", "AuxLogits."))
        return network.eval()

    def embed(self, pictures: Tensor) -> Tensor:
        x = resized_rgb(pictures, SIDE)
        for name, layer in self.named_children():
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = max_pool2d(x, 3, 2)
        return x.mean((2, 3))


def at_17(width: int) -> Branches:
    """7 x 7 as a row and a column, once and twice."""
    return (
        (("branch1x1", 192, 1),),
        (("branch7x7_1", width, 1), ("branch7x7_2", width, ROW), ("branch7x7_3", 192, COLUMN)),
        (
            ("branch7x7dbl_1", width, 1), ("branch7x7dbl_2", width, COLUMN), ("branch7x7dbl_3", width, ROW),
            ("branch7x7dbl_4", width, COLUMN), ("branch7x7dbl_5", 192, ROW),
        ),
    )  # fmt: skip
