"""Text: documents as windows of tokens."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Item, Record, Rejection
from pellucid.modalities.animation import save_journey
from pellucid.modalities.documents import PERCENT, PLAIN, SUFFIXES, Document, Split, read_documents
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.page import pages
from pellucid.modalities.recordings import read_windows, survey
from pellucid.modalities.sheet import sheet
from pellucid.modalities.vocabulary import END, MOST, STRANGE, Kind, Vocabulary, learn_vocabulary
from pellucid.sources.entry import Entry
from pellucid.sources.find import find
from pellucid.sources.refused import reason
from pellucid.sources.source import Source
from pellucid.sources.walk import walk

GLANCE = 200  # files that are looked at before a folder is given up
LENGTH, SHORTEST = 128, 4
FEWEST = 300  # pieces, of which 256 are bytes
GRAMS = ((1, 64), (2, 128), (3, 128))
"""Lengths of runs that are counted, and into how many numbers."""
PRIMES, BIG = (1, 7919, 104_729), 1_000_003
HIDDEN = "·"
"""How a token is shown of which nothing is known yet."""

Numbers = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Text(Modality):
    """Windows (1, L) of tokens, whole numbers: uint16 when packed, int64 for the model.

    Read from .txt, .md (one document each, or several between lines of "%") and .jsonl (an object or string a line), with
    sub-folders or a column as labels. A document that is longer than L tokens makes several windows; what is left of the
    last, if anything, is filled with the token that ends a text.

    Of pairs (objects with "source" and "target", "question" and "answer", ...) a sample is the source in a window of its
    own, always given, and the target after it.

    Arguments:
        tokens: "characters", "bytes" of UTF-8, or "pairs", pieces of words.
        pieces: how many tokens pairs make.
        split: what a document is in a plain file: the "file", a "paragraph" or a "line"; "auto": the file, or what lines of
            "%" part.
        stride: tokens between the beginnings of windows of one document; 0: L.
        vocabulary: learned from the data: the tokens.
        source_length: learned too: tokens of the window of sources; 0: there are none.
    """

    sampler: ClassVar[str] = "reveal"
    steps: ClassVar[int] = 128
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "uint16"
    axes: ClassVar[str] = "texts x tokens"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".jsonl", ".png", ".webp", ".jpg", ".npy")
    played: ClassVar[str] = ".txt"
    column: ClassVar[Literal["caption", "label"]] = "label"
    recipe: ClassVar[str] = "text"
    lasting: ClassVar[bool] = True

    tokens: Kind = "characters"
    pieces: int = 2048
    split: Split = "auto"
    stride: int = 0
    vocabulary: tuple[str, ...] = ()
    source_length: int = 0

    def __post_init__(self) -> None:
        if not FEWEST <= self.pieces <= MOST:
            raise ConfigError(f"modality.pieces = {self.pieces}: expected {FEWEST} to {MOST:,}")
        if self.stride < 0:
            raise ConfigError(f"modality.stride = {self.stride}: expected 1 or more, or 0 for windows side by side")

    @classmethod
    def example(cls) -> Self:
        return cls(vocabulary=(" ", "a", "b", "c", "é", "汉"))

    @property
    def categories(self) -> int:
        return len(self.words)

    @cached_property
    def words(self) -> Vocabulary:
        """The vocabulary, with what it can do."""
        return Vocabulary(self.tokens, self.vocabulary)

    @property
    def sourced(self) -> int:
        return self.source_length

    def recognises(self, path: Path) -> bool:
        if not path.is_dir():
            return path.is_file() and path.suffix.lower() in SUFFIXES
        found = [file for file in islice(walk(path), GLANCE) if isinstance(file, Path)]
        texts = [file for file in found if file.suffix.lower() in SUFFIXES]
        return len(texts) > len(found) / 2 and not any(map(is_picture, found))

    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """`size` is L; of pairs that of each window, or of both."""
        if channels not in (None, 1):
            raise ConfigError(f"channels = {channels}: text has one")
        seen, pairs = Counter[str](), Counter[bool]()

        def look(entry: Entry) -> None:
            for document in self._documents(entry):
                seen.update(document.text + (document.source or ""))
                pairs[document.source is not None] += 1

        common, _ = survey(path, look, _why)
        before, length = self._lengths(size, paired=bool(pairs[True]))
        words = self.words if self.vocabulary else learn_vocabulary(self.tokens, seen, self._all_texts(path), self.pieces)
        known = replace(self, vocabulary=words.tokens, source_length=before)
        strange = sum(map(words.is_strange, seen))

        def windows(entry: Entry, label: str | None, notes: dict[str, None]) -> Iterator[Item | Rejection]:
            for found in read_documents(entry, self.split, column):
                if isinstance(found, Rejection):
                    yield found
                else:
                    document = replace(found, label=(found.label or label) if labels else None)
                    yield from known._pair(document, length) if before else known._windows(document, length, notes)

        yield from read_windows(
            path, windows, column=None, labels=labels, common=common, why=_why,
            details={"vocabulary": list(words.tokens), "source_length": before},
            notes=(f"{strange} kinds of characters are not known to the model: read as {STRANGE}",) if strange else (),
            nothing=_nothing,
        )  # fmt: skip

    def _lengths(self, size: int | tuple[int, ...] | None, *, paired: bool) -> tuple[int, int]:
        """Tokens of the window of sources, 0 where there are none, and of that of texts."""
        sizes = size if isinstance(size, tuple) else (size or LENGTH,)
        if self.source_length and len(sizes) == 1:  # as a model has it, both together
            sizes = (self.source_length, sizes[0] - self.source_length)
        lengths = (sizes[0], sizes[-1]) if paired else (0, sizes[-1])
        if min(lengths[not paired :]) < SHORTEST:
            raise ConfigError(f"size = {size}: expected windows of {SHORTEST} tokens or more")
        return lengths

    def _documents(self, entry: Entry) -> Iterator[Document]:
        return (found for found in read_documents(entry, self.split, None) if isinstance(found, Document))

    def _all_texts(self, path: Path) -> Iterator[str]:
        """Of what can be read."""
        for source in find(path):
            for entry in source.entries() if isinstance(source, Source) else ():
                if isinstance(entry, Entry):
                    with suppress(Exception):  # which reading it again will tell of
                        yield from (text for one in self._documents(entry) for text in (one.source or "", one.text) if text)

    def _windows(self, document: Document, length: int, notes: dict[str, None]) -> Iterator[Item]:
        numbers = np.array([*self.words.encode(document.text), END], dtype=np.uint16)
        starts = range(0, max(1, len(numbers) - 1 - (length - self.stride if self.stride else 0)), self.stride or length)
        if len(starts) > 1:
            notes[f"texts longer than {length} tokens are cut into several windows"] = None
        for place, start in enumerate(starts):
            data = np.full((1, length), END, dtype=np.uint16)
            piece = numbers[start : start + length]
            data[0, : len(piece)] = piece
            name = document.name if len(starts) == 1 else f"{document.name}@{place}"
            yield Item(source=name, data=data, label=document.label)

    def _pair(self, document: Document, length: int) -> Iterator[Item | Rejection]:
        """A source and its target, each followed by its end if there is room."""
        if document.source is None:
            yield Rejection(source=document.name, reason="a text without a source, among pairs")
            return
        data = np.full((1, self.source_length + length), END, dtype=np.uint16)
        for name, text, start, room in (
            ("source", document.source, 0, self.source_length), ("target", document.text, self.source_length, length)
        ):  # fmt: skip
            numbers = self.words.encode(text)
            if len(numbers) > room:
                yield Rejection(source=document.name, reason=f"a {name} longer than its window of {room} tokens")
                return
            data[0, start : start + len(numbers)] = numbers
        yield Item(source=document.name, data=data, label=document.label)

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"vocabulary": tuple(details["vocabulary"]), "source_length": int(details.get("source_length", 0))}

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.asarray(stored).astype(np.int64)) if not isinstance(stored, Tensor) else stored.long()

    def encode(self, x: Tensor) -> NDArray[Any]:
        return np.asarray(x.detach().cpu().numpy()).astype(np.uint16)

    def view(self, x: Tensor) -> Tensor:
        """(B, F): square roots of how often tokens, pairs and triples of them stand in each text, all told by a hash."""
        own = x[:, 0, self.source_length :]
        return torch.cat([_counted(own, length, width) for length, width in GRAMS], dim=1)

    def texts(self, x: Tensor, hidden: str = "") -> list[str]:
        """Samples (B, 1, L) as they are read; of pairs the targets."""
        return [self.words.decode(row, hidden) for row in x[:, 0, self.source_length :].tolist()]

    def piecewise(self, x: Tensor, hidden: str = "") -> list[list[str]]:
        """The same, token by token."""
        own = [row[: row.index(END)] if END in row else row for row in x[:, 0, self.source_length :].tolist()]
        each = {number: self.words.decode([number], hidden) for row in own for number in row}
        return [[each[number] for number in row] for row in own]

    def sources(self, x: Tensor) -> list[str]:
        """What samples (B, 1, L) are made from."""
        return [self.words.decode(row) for row in x[:, 0, : self.source_length].tolist()]

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        x = self.decode(stored)
        texts = self.texts(x, HIDDEN)
        if self.source_length:
            texts = [f"{source}\n→ {target}" for source, target in zip(self.sources(x), texts, strict=True)]
        return pages(texts, stored.shape[-1])

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,  # noqa: ARG002
    ) -> list[Path]:
        """.txt with all texts, lines of "%" between them, which is read again as the same; .jsonl with an object a line;
        `.npy` tokens (B, 1, L); a picture of all; any other name is a folder for 000000.txt, 000001.txt, ...
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        suffix, texts = path.suffix.lower(), self.texts(samples)
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, self.encode(samples))
        elif is_picture(path):
            with atomic_write(path) as temporary:
                sheet(self.pictures(self.encode(samples)), labels=labels).save(temporary)
        elif suffix == ".jsonl":
            named = [{} if label is None else {"label": label} for label in labels or [None] * len(texts)]
            made = [{"text": text} for text in texts]
            if self.source_length:
                made = [{"source": a, "target": b} for a, b in zip(self.sources(samples), texts, strict=True)]
            rows = [{**text, **name} for text, name in zip(made, named, strict=True)]
            _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        elif suffix in PLAIN:
            _write(path, f"\n{PERCENT}\n".join(texts) + "\n")
        elif suffix:
            raise UserError(f"Cannot write texts as '{path.name}': {nearest(suffix, self.suffixes)}")
        else:
            files = [path / f"{index:06d}.txt" for index in range(len(texts))]
            for file, text in zip(files, texts, strict=True):
                _write(file, text)
            return files
        return [path]

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)


def _counted(tokens: Tensor, length: int, width: int) -> Tensor:
    """Square roots of the shares of runs of `length` tokens, (B, width): their Euclidean distance is Hellinger's."""
    runs = tokens.unfold(1, length, 1)
    place = (runs * torch.tensor(PRIMES[:length], device=tokens.device)).sum(2) % BIG % width
    inside = (runs != END).all(2).float()
    counts = torch.zeros(len(tokens), width, device=tokens.device).scatter_add_(1, place, inside)
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).sqrt()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else reason(error)


def _nothing(path: Path, first: Rejection | None) -> DataError:
    why = f"; {first.source}: {first.reason}" if first else ""
    return DataError(f"Nothing to read in '{path}': expected texts in UTF-8 ({', '.join(SUFFIXES)}){why}")
