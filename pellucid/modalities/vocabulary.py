"""Vocabularies: text as whole numbers and back. 0 ends a text and fills what is left of its window; 1 stands for what is not
known.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pellucid.core.errors import DataError
from pellucid.core.optional import optional

Kind = Literal["characters", "bytes", "pairs"]
END, UNKNOWN, FIRST = 0, 1, 2
STRANGE = "\N{REPLACEMENT CHARACTER}"
MOST = 65_000
"""Tokens at most, as 16 bits hold them with some to spare."""

BEFORE = " "
"""What pieces read before a text."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens of one kind.

    Arguments:
        kind: "characters"; "bytes" of UTF-8; "pairs", pieces of words found by joining the pairs that are most frequent
            (Sennrich et al. 2016), down to bytes, so that none is unknown.
        tokens: the characters; of pieces the JSON of a tokenizer and what it reads before a text: a space, so that a word is
            of the same pieces wherever it stands; none of bytes.
    """

    kind: Kind
    tokens: tuple[str, ...] = ()

    def __len__(self) -> int:
        match self.kind:
            case "characters":
                return FIRST + len(self.tokens)
            case "bytes":
                return FIRST + 256
            case "pairs":
                return FIRST + int(self._pieces.get_vocab_size())

    def encode(self, text: str, *, begins: bool = True) -> list[int]:
        """Numbers of the tokens, without an end; of a text or, unless it `begins`, of what goes on in one."""
        match self.kind:
            case "characters":
                return [self._places.get(character, UNKNOWN) for character in text]
            case "bytes":
                return [FIRST + byte for byte in text.encode()]
            case "pairs":
                return [FIRST + place for place in self._pieces.encode((self._before if begins and text else "") + text).ids]

    def is_strange(self, character: str) -> bool:
        """Whether it can only be read as something unknown."""
        return self.kind == "characters" and character not in self._places

    def decode(self, numbers: Sequence[int], hidden: str = "") -> str:
        """The text up to its end; what is beyond the vocabulary, a mask, is shown as `hidden`."""
        kept = list(numbers[: numbers.index(END)] if END in numbers else numbers)
        if self.kind == "characters":
            shown = [STRANGE, *self.tokens]
            return "".join(shown[number - 1] if number <= len(self.tokens) + 1 else hidden for number in kept)
        found, run, last = list[str](), list[int](), len(self)
        for number in [*kept, last]:
            if UNKNOWN < number < last:
                run.append(number - FIRST)
                continue
            found += [self._joined(run), STRANGE if number == UNKNOWN else hidden]
            run = []
        return "".join(found[:-1]).removeprefix(self._before)

    def _joined(self, run: list[int]) -> str:
        return bytes(run).decode(errors="replace") if self.kind == "bytes" else str(self._pieces.decode(run))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {character: FIRST + place for place, character in enumerate(self.tokens)}

    @property
    def _before(self) -> str:
        return self.tokens[1] if self.kind == "pairs" and len(self.tokens) > 1 else ""

    @cached_property
    def _pieces(self) -> Any:
        return optional("tokenizers", "A vocabulary of pairs", "text").Tokenizer.from_str(self.tokens[0])


def learn_vocabulary(kind: Kind, counts: Counter[str], texts: Iterable[str], size: int) -> Vocabulary:
    """Of all characters there are, the most frequent first; or as many pieces as asked for.

    Arguments:
        counts: how often each character is in the texts.

    Raises:
        DataError: more characters than can be numbered.
    """
    if kind == "bytes":
        return Vocabulary(kind)
    if kind == "pairs":
        return Vocabulary(kind, (_learn_pieces((BEFORE + text for text in texts), size), BEFORE))
    if len(counts) > MOST:
        raise DataError(f"{len(counts):,} different characters: expected at most {MOST:,}; set modality.tokens=bytes")
    return Vocabulary(kind, tuple(sorted(counts, key=lambda character: (-counts[character], character))))


def _learn_pieces(texts: Iterable[str], size: int) -> str:
    library = optional("tokenizers", "A vocabulary of pairs", "text")
    pieces = library.Tokenizer(library.models.BPE())
    pieces.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=size - FIRST, initial_alphabet=alphabet, show_progress=False)
    pieces.train_from_iterator(texts, trainer=trainer)
    return str(pieces.to_str())
