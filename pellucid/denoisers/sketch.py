"""What words alone let expect of a picture, by what was said of the pictures that were trained on."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad, softmax

from pellucid.core.random import Key

TEMPERATURE = 0.05
"""Of the cosine between what is asked and what was said; the reader has learned with it."""
SHARP = 0.02
"""The same when samples are drawn: fewer things are mixed, and the right one more often leads (LOG.md, 2026-11-26)."""
SPARE, ITERATIONS = 16, 4
"""Of the search for principal components."""


class Sketch(nn.Module):
    """E[x0 | words], nearly: the mean of known samples, each weighted by how well what was said of it fits.

        sketch = centre + softmax(<q, keys> / temperature) coefficients basis

    with q the words' vector at unit length, keys the directions of what was said of each sample, and coefficients basis the
    nearest approximation of rank R to the samples less their mean (principal components). This is the kernel regression of
    Nadaraya 1964 and Watson 1964, eq. 2, over the directions that the reader has learned by contrast; the key of no words at
    all is the first, and has the mean. A denoiser that sees the sketch beside x_t need not find out how words look: it
    draws what is blurred and mixed in it. Retrieval into diffusion is Blattmann et al. 2022 (RDM), section 3.

    The temperature is 0.05 in training and 0.02 afterwards.

    Shapes: (B, width) -> (B, *shape); all zero until it is filled.

    Arguments:
        width: of the words' vector.
        shape: (C, *space) of a sample.
        rank: R.
    """

    keys: Tensor
    coefficients: Tensor
    basis: Tensor
    centre: Tensor

    def __init__(self, *, width: int, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.shape, self.rank = shape, rank
        self.register_buffer("keys", torch.zeros(0, width))
        self.register_buffer("coefficients", torch.zeros(0, rank))
        self.register_buffer("basis", torch.zeros(rank, *shape))
        self.register_buffer("centre", torch.zeros(shape))

    def forward(self, vector: Tensor) -> Tensor:
        if not len(self.keys):
            return self.centre.expand(vector.shape[0], *self.shape)
        temperature = TEMPERATURE if self.training else SHARP
        weights = softmax(normalize(vector, dim=1) @ self.keys.T / temperature, dim=1)
        return self.centre + (weights @ self.coefficients @ self.basis.flatten(1)).reshape(-1, *self.shape)

    @torch.no_grad()
    def fill(self, nothing: Tensor, said: Tensor, samples: Tensor) -> None:
        """Remember samples (N, *shape) by what was said of them, directions (N, width).

        Arguments:
            nothing: (width,), the direction of no words.
        """
        self.keys = normalize(torch.cat([nothing[None], said]), dim=1).to(self.keys)
        flat = samples.double().flatten(1)
        self.centre = flat.mean(0).reshape(self.shape).to(self.centre)
        main = principal(flat - flat.mean(0), self.rank)
        spare = self.rank - main.shape[1]
        self.coefficients = pad((flat - flat.mean(0)) @ main, (0, spare, 1, 0)).to(self.coefficients)
        self.basis = pad(main.T, (0, 0, 0, spare)).reshape(-1, *self.shape).to(self.basis)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As many samples are known as the file has."""
        for name in ("keys", "coefficients"):
            if (found := state_dict.get(f"{prefix}{name}")) is not None:
                setattr(self, name, getattr(self, name).new_empty(found.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def principal(rows: Tensor, rank: int) -> Tensor:
    """Orthonormal directions in which `rows` (N, D) have most of their squares, main ones first, (D, at most rank).

    By subspace iteration from some more random directions: Halko, Martinsson and Tropp 2011, algorithm 4.4.
    """
    count = min(rank + SPARE, *rows.shape)
    main = rows.T @ Key(0, "principal").normal([0], (len(rows), count))[0].to(rows)
    for _ in range(ITERATIONS):
        main = rows.T @ (rows @ torch.linalg.qr(main)[0])
    main = torch.linalg.qr(main)[0]
    turned: Tensor = main @ torch.linalg.svd(rows @ main, full_matrices=False)[2].T
    return turned[:, :rank]
