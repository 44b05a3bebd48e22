"""What may be written in a prompt besides words: weights `(hat:1.3)` and alternatives `{red|blue}`."""

import re
from itertools import product
from typing import NamedTuple

from pellucid.core.errors import ConfigError

LONGEST = 2000
"""Characters of a prompt."""
MOST = 64
"""Prompts that alternatives may expand to."""

_WEIGHT = re.compile(r"\(([^():]+):\s*([+-]?[\d.]+)\s*\)")
_CHOICE = re.compile(r"\{([^{}]*)\}")
STRONGEST = 5.0


class Part(NamedTuple):
    """A stretch of a prompt and how much it counts."""

    text: str
    weight: float = 1.0


def parts(prompt: str) -> list[Part]:
    """A prompt cut where its weights change. Parentheses without a number are plain text.

    >>> parts("a cat with a (hat:1.3)")
    [Part(text='a cat with a ', weight=1.0), Part(text='hat', weight=1.3)]

    Raises:
        ConfigError: a weight that is no number, or too large.
    """
    found, end = [], 0
    for match in _WEIGHT.finditer(prompt):
        found += [Part(prompt[end : match.start()]), Part(match[1], _weight(match))]
        end = match.end()
    return [part for part in (*found, Part(prompt[end:])) if part.text]


def expand(prompt: str) -> list[str]:
    """One prompt for each combination of the alternatives, the last changing fastest.

    >>> expand("a {red|blue} {cat|dog}")
    ['a red cat', 'a red dog', 'a blue cat', 'a blue dog']

    Raises:
        ConfigError: too long, characters that are no text, braces that do not close, or too many combinations.
    """
    checked(prompt)
    pieces = _CHOICE.split(prompt)  # text, choice, text, choice, ..., text
    if any(brace in text for text in pieces[::2] for brace in "{}"):
        raise ConfigError(f"The prompt '{prompt}' has a brace without its partner: alternatives are written {{red|blue}}")
    choices = [piece.split("|") if at % 2 else [piece] for at, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST:
        raise ConfigError(f"The alternatives in the prompt make {count:,} prompts: expected at most {MOST}")
    return [" ".join("".join(chosen).split()) for chosen in product(*choices)]


def checked(prompt: str) -> str:
    """The prompt, if it is text of a reasonable length.

    Raises:
        ConfigError: it is not.
    """
    if len(prompt) > LONGEST:
        raise ConfigError(f"The prompt has {len(prompt):,} characters: expected at most {LONGEST:,}")
    strange = next((character for character in prompt if not (character.isprintable() or character in "\t\n\r")), None)
    if strange is not None and not _joins(strange):
        raise ConfigError(f"The prompt holds the control character U+{ord(strange):04X}: expected text")
    return prompt


def _joins(character: str) -> bool:
    """Invisible characters that are part of writing: joiners, marks of direction, selectors of a picture's form."""
    return 0x200B <= ord(character) <= 0x200F or 0xFE00 <= ord(character) <= 0xFE0F or 0xE0020 <= ord(character) <= 0xE007F


def _weight(match: re.Match[str]) -> float:
    try:
        weight = float(match[2])
    except ValueError:
        raise ConfigError(f"The weight in '{match[0]}' is no number: expected something like (word:1.3)") from None
    if not abs(weight) <= STRONGEST:
        raise ConfigError(f"The weight in '{match[0]}' is out of range: allowed is -{STRONGEST:g} to {STRONGEST:g}")
    return weight
