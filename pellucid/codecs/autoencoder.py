"""The two halves of a convolutional autoencoder: grids of patches that shrink to a latent, and grow from it again."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pellucid.networks.convolution import Convolution, ConvolutionBranch
from pellucid.networks.grid import Factors, depth_to_space, space_to_depth
from pellucid.networks.initialise import zeroed
from pellucid.networks.linear import Linear
from pellucid.networks.modulated import Blocks, Modulation


class Encoder(nn.Module):
    """Positions are folded once at the entrance and once between levels: (B, *grid, C) -> (B, *grid / factors, C').

    The blocks are those of the networks. There is no noise level to follow, so the embedding is the constant 1, which leaves
    shifts, scales and gates that are learned.

    Arguments:
        fold: by how much each axis shrinks at a fold, 1 or 2.
        widths: of the levels, finest first.
        blocks: of two convolutions, at each level.
    """

    def __init__(self, in_width: int, out_width: int, fold: Factors, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        rank, cell = len(fold), 2 ** sum(n > 1 for n in fold)
        self.fold = fold
        self.stem = Convolution(rank, in_width * cell, widths[0])
        self.levels = nn.ModuleList(_blocks(rank, width, blocks) for width in widths)
        self.folds = nn.ModuleList(
            Linear(fine * cell, coarse, bias=False) for fine, coarse in pairwise(widths)
        )
        self.norm = Modulation(widths[-1], 1)
        self.head = Convolution(rank, widths[-1], out_width)

    def forward(self, x: Tensor) -> Tensor:
        one = x.new_ones(1)
        h = self.levels[0](self.stem(space_to_depth(x, self.fold)), one)
        for fold, level in zip(self.folds, self.levels[1:], strict=True):
            h = level(fold(space_to_depth(h, self.fold)), one)
        y: Tensor = self.head(*self.norm(h, one))
        return y


class Decoder(nn.Module):
    """The same way back: (B, *grid, C') -> (B, *grid * factors, C), zero at the start.

    Arguments:
        fold, widths, blocks: as of the encoder, widths from its finest level too.
    """

    def __init__(self, in_width: int, out_width: int, fold: Factors, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        rank, cell, back = len(fold), 2 ** sum(n > 1 for n in fold), widths[::-1]
        self.fold = fold
        self.stem = Convolution(rank, in_width, back[0])
        self.levels = nn.ModuleList(_blocks(rank, width, blocks) for width in back)
        self.unfolds = nn.ModuleList(
            Linear(coarse, fine * cell, bias=False) for coarse, fine in pairwise(back)
        )
        self.norm = Modulation(back[-1], 1)
        self.head = zeroed(Convolution(rank, back[-1], out_width * cell, bias=True))

    def forward(self, z: Tensor) -> Tensor:
        one = z.new_ones(1)
        h = self.levels[0](self.stem(z), one)
        for unfold, level in zip(self.unfolds, self.levels[1:], strict=True):
            h = level(depth_to_space(unfold(h), self.fold), one)
        return depth_to_space(self.head(*self.norm(h, one)), self.fold)


def _blocks(rank: int, width: int, blocks: int) -> Blocks:
    return Blocks((ConvolutionBranch(rank, width) for _ in range(blocks)), width, embedding_width=1)
