"""Texts that Debian packages, read where these put them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pellucid.core.errors import UserError

T = TypeVar("T")
PERCENT = "%"
"""A line of this alone stands between texts, as `fortune` has it and readers of text know."""
FORTUNES = Path("/usr/share/games/fortunes")
COLOUR = re.compile("\x1b\\[[0-9;]*m")
STRUCK = re.compile("_\b|.\b(?=.)")
"""Letters that a teletype would print over each other, for underlining and bold."""


def fortunes(names: tuple[str, ...], package: str) -> Iterator[tuple[str, list[str]]]:
    """The texts of each of these files of `fortune`, without colours.

    Raises:
        UserError: the package is not there.
    """
    for name in names:
        try:
            whole = (FORTUNES / name).read_text(encoding="utf-8")
        except OSError:
            raise UserError(f"'{FORTUNES / name}' is not there: install Debian's or Ubuntu's package {package}, and repeat "
                            "this command") from None  # fmt: skip
        clean = STRUCK.sub("", COLOUR.sub("", whole)).expandtabs(4)
        yield name, [part.strip("\n") for part in re.split(r"(?m)^%$", clean) if part.strip()]


def write_texts(path: Path, texts: list[str]) -> None:
    """A file of texts with lines of "%" between them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"\n{PERCENT}\n".join(texts) + "\n", encoding="utf-8")


def thirds(texts: Sequence[T], every: int) -> Iterator[tuple[str, list[T]]]:
    """Texts for training, for choosing between models, and for the last word: of each `every` one for either of these."""
    held = {"validation": every // 2 - 1, "test": every - 1}
    yield "train", [text for place, text in enumerate(texts) if place % every not in held.values()]
    for name, rest in held.items():
        yield name, list(texts[rest::every])
