"""Text of any script as words, and each word as the pieces it is known by: no vocabulary, no download."""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from unicodedata import category, normalize

BUCKETS = 16384
"""Pieces are numbered by a hash, so that every word of every language has some; rare ones may share a number."""
PIECES = 20
"""Of a word, at most."""

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U000323af"
_RUN = re.compile(rf"(?P<ideographs>[{_IDEOGRAPHS}]+)|(?P<word>(?:(?![{_IDEOGRAPHS}_])[\w'’])+)|(?P<symbol>[^\w\s])")


class Word(NamedTuple):
    """A word in small letters, or one Chinese, Japanese or Korean character between its neighbours."""

    text: str
    before: str = ""
    after: str = ""


def split(text: str) -> Iterator[Word]:
    """The words of a text; punctuation says nothing, a symbol may.

    >>> [word.text for word in split("A CAT, wearing a ｈａｔ! 🐱")]
    ['a', 'cat', 'wearing', 'a', 'hat', '🐱']
    >>> list(split("猫 帽子"))
    [Word(text='猫', before='', after=''), Word(text='帽', before='', after='子'), Word(text='子', before='帽', after='')]
    """
    for match in _RUN.finditer(normalize("NFKC", text).casefold()):
        run = match[0]
        if match["ideographs"]:
            for at, character in enumerate(run):
                yield Word(character, run[max(0, at - 1) : at], run[at + 1 : at + 2])
        elif match["word"]:
            if run := run.strip("'’"):
                yield Word(run)
        elif category(run).startswith("S"):
            yield Word(run)


@lru_cache(maxsize=65536)
def pieces(word: Word) -> tuple[int, ...]:
    """Numbers of a word's pieces: itself and its parts of three to five letters, with its ends marked, so that "cats" is
    close to "cat" (Bojanowski et al. 2017, fastText, section 3.2); of a character, itself and the pairs with its neighbours.
    """
    if re.match(f"[{_IDEOGRAPHS}]", word.text):
        pairs = [word.before + word.text] * bool(word.before) + [word.text + word.after] * bool(word.after)
        parts = [word.text, *pairs]
    else:
        marked = f"<{word.text}>"
        parts = [marked, *(marked[at : at + n] for n in (3, 4, 5) for at in range(len(marked) - n + 1))]
    return tuple(_bucket(part) for part in dict.fromkeys(parts))[:PIECES]


def _bucket(piece: str) -> int:
    return int.from_bytes(blake2b(piece.encode("utf-8", "replace"), digest_size=8).digest(), "little") % BUCKETS
