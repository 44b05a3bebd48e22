"""Changes of bytes that upset parsers: flipped bits, cuts, splices, false lengths, numbers, tokens, depth."""

import re
import zlib
from collections.abc import Callable, Sequence
from random import Random

from fuzzing.case import Case

MOST = 1 << 18
"""Bytes of a case."""
EDGES = (0, 1, -1, 2, 7, 8, 16, 64, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
         2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
NUMBERS = (b"0", b"-1", b"1", b"00", b"4294967296", b"18446744073709551616", b"1e999", b"-1e999", b"1e-400", b"NaN", b"inf",
           b"0x10", b"1_000", b"1.5", b"9" * 400, b"9" * 5000)  # fmt: skip
WORDS = (
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"../../../etc/passwd",
    b"..\\..\\secret",
    b"/etc/passwd", b"file:///etc/passwd", b"http://127.0.0.1:9/", b"%2e%2e%2f", b"<script>alert(1)</script>", b"{{7*7}}",
    b"${x}", b"%s%n%x",
    b"'\"`", b"\r\n", b"\n", b"\t", b",", b";", b"\x1b[31m", b"\x80\x04cos\nsystem\n", b"__class__", b"null",
    b"true", b"[]", b"{}", b'"', b"\\ud800", b"\\u0000", b"NULL", b"CON", b"a" * 300,
)  # fmt: skip
BRACKETS = (b"[", b"{", b"(", b'{"a":', b"[[", b'"', b"<a>", b"a.", b"\x30\x80")
PNG = b"\x89PNG\r\n\x1a\n"


def mutated(case: Case, others: Sequence[Case], words: Sequence[bytes], suffixes: Sequence[str], rng: Random) -> Case:
    """A case with one to six changes.

    Arguments:
        others: cases to splice with.
        words: of the format, beside those that upset any.
        suffixes: under which it may come as well.
    """
    data = case.data
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 6))):
        change = rng.choice(CHANGES)
        other = rng.choice(others).data if others else b""
        data = change(data, other, (*words, *words, *WORDS), rng)[:MOST]
    if data.startswith(PNG) and rng.random() < 0.7:
        data = _summed(data)
    suffix = rng.choice(suffixes) if rng.random() < 0.03 else case.suffix
    return Case(suffix, data)


Change = Callable[[bytes, bytes, Sequence[bytes], Random], bytes]


def _place(data: bytes, rng: Random) -> int:
    """Often near the beginning, where headers are, or near the end."""
    share = rng.choice((rng.random(), rng.random() ** 3, 1 - rng.random() ** 4))
    return int(share * len(data))


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + int(rng.choice((1, 2, 4, 16, 64, 512, 4096)) * (1 + rng.random())))


def _flip(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        found[min(_place(data, rng), len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _byte(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) + data[place + 1 :]


def _cut(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    return data[: _place(data, rng)] if rng.random() < 0.8 else data[_place(data, rng) :]


def _delete(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[start:end] * rng.choice((2, 3, 16, 256)) + data[end:]


def _length(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    """A whole number of one to eight bytes that is at an edge."""
    size, place = rng.choice((1, 2, 4, 4, 8)), _place(data, rng)
    edge = rng.choice((*EDGES, len(data), len(data) - 1, rng.randrange(1 << 16))) % (1 << 8 * size)
    return data[:place] + edge.to_bytes(size, rng.choice(("little", "big"))) + data[place + size :]


def _number(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    """A number in digits that is another."""
    found = list(re.finditer(rb"\d+", data[:65536]))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]


def _word(data: bytes, _other: bytes, words: Sequence[bytes], rng: Random) -> bytes:
    place, word = _place(data, rng), rng.choice(words)
    return data[:place] + word + data[place + (len(word) if rng.random() < 0.5 else 0) :]


def _splice(data: bytes, other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(other, rng)
    place = _place(data, rng)
    return rng.choice((data[:place] + other[_place(other, rng) :], data[:place] + other[start:end] + data[place:]))


def _deep(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.choice(BRACKETS) * rng.choice((10, 1000, 20_000)) + data[place:]


def _noise(data: bytes, _other: bytes, _words: Sequence[bytes], rng: Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.randbytes(rng.choice((1, 4, 32, 256))) + data[place:]


CHANGES: tuple[Change, ...] = (
    _flip, _flip, _byte, _cut, _delete, _repeat, _length, _length, _number, _word, _word, _splice, _noise, _deep,
)  # fmt: skip


def _summed(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, as far as there are chunks."""
    found, place = bytearray(data), len(PNG)
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        found[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(found)
