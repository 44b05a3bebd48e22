"""Texts with parts that are known: begun, with gaps, of a given length, or longer than the model's window."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from pellucid.conditioners.known_tokens import UNKNOWN
from pellucid.core.errors import ConfigError, DataError, UnsupportedError, UserError
from pellucid.modalities.documents import decoded
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import END
from pellucid.model.model import Model
from pellucid.model.samples import Samples

GAP = "_"
"""What stands, in texts to be filled in, for a token that is not known."""
APART = 0xD1B54A32D192ED03
"""Between the seeds of windows, so that each has noise of its own."""
LONGEST = 1_000_000
"""Tokens of all versions together."""

Progress = Callable[[int, int], None] | None


def write(
    model: Model, texts: Sequence[str] = ("",), *, n: int = 1, length: int | None = None, gap: str = "", more: bool = True,
    seed: int = 0, progress: Progress = None, **settings: Any,
) -> Samples:  # fmt: skip
    """`n` texts, each of which goes on from one of `texts` in turn, its gaps filled.

    What does not fit the model's window of L tokens is made block by block, each of half a window, from what is before it
    and what is known after it.

    Arguments:
        texts: beginnings; with a `gap`, also whole texts in which each such letter stands for a token to be found.
        length: tokens of the whole; None: until the window or the text ends.
        more: whether texts may go on after what is given of them.
        settings: as for `Model.sample`; a journey is that of the last window.

    Raises:
        UnsupportedError: the model is not one of texts.
        ConfigError: a length shorter than what is given, or too long.
    """
    if not isinstance(model.modality, Text):
        raise UnsupportedError("The model is not of texts: it was trained on something else")
    window, began = model.facts.shape[1], perf_counter()
    given = [tokens(model.modality, text, gap) for text in texts]
    wanted = length if length is not None else max(window, *map(len, given)) if more else max(map(len, given))
    if longest := max((len(one) for one in given if len(one) > wanted), default=0):
        raise ConfigError(f"length = {wanted}: what is given has {longest} tokens")
    if n * wanted > LONGEST:
        raise ConfigError(f"{n:,} texts of {wanted:,} tokens are too much at once: ask for at most {LONGEST:,} in all")
    rest = UNKNOWN if more else END
    rows = [given[i % len(given)] + [rest] * (wanted - len(given[i % len(given)])) for i in range(n)]
    ends = [END] * max(0, window - wanted) if length is not None or not more else [UNKNOWN] * max(0, window - wanted)
    state = torch.tensor([row + ends for row in rows])
    starts, calls, frames = _starts(state, window), 0, list[Tensor]()
    for place, start in enumerate(starts):

        def report(done: int, whole: int, place: int = place) -> None:
            if progress is not None:
                progress(place * whole + done, len(starts) * whole)

        part = state[:, start : start + window]
        here = model.sample(
            n, known=part[:, None], seed=(seed + place * APART) % 2**64, progress=report, **settings
        )
        calls, frames = calls + here.nfe, here.journey
        kept = window if start + window >= state.shape[1] else window - window // 4
        fresh = here.data[:, 0, :kept]
        state[:, start : start + kept] = torch.where(part[:, :kept] == UNKNOWN, fresh, part[:, :kept])
    return Samples(
        data=_ended(state)[:, None], modality=model.modality, seed=seed, nfe=calls, seconds=perf_counter() - began,
        journey=frames,
    )  # fmt: skip


def read_text(path: Path) -> str:
    """Of a file.

    Raises:
        UserError: it cannot be read, or is not text.
    """
    try:
        return decoded(path.read_bytes()).removesuffix("\n")
    except OSError as error:
        raise UserError(f"Cannot read '{path}': {error.strerror}") from None
    except DataError as error:
        raise DataError(f"Cannot read '{path}': {error}") from None


def tokens(text: Text, words: str, gap: str) -> list[int]:
    """Of a text whose gaps are not known."""
    pieces = words.split(gap) if gap else [words]
    found = text.words.encode(pieces[0])
    for piece in pieces[1:]:
        found += [UNKNOWN, *text.words.encode(piece, begins=False)]
    return found


def _starts(state: Tensor, window: int) -> list[int]:
    """Where windows begin, so that each is half filled by what is before it, and all that is unknown gets filled."""
    unknown, last = (state == UNKNOWN).any(0), max(0, state.shape[1] - window)
    found, reached = list[int](), 0
    while bool(unknown[reached:].any()):
        first = reached + int(unknown[reached:].nonzero()[0])
        start = min(last, max(0, first - window // 2))
        found.append(start)
        reached = state.shape[1] if start == last else start + window - window // 4
    return found


def _ended(state: Tensor) -> Tensor:
    """With nothing after the end of a text."""
    over = (state == END).cumsum(1) > 0
    return torch.where(over, END, state)
