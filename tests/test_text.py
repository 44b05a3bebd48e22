"""Texts: vocabularies, how files become windows of tokens, what is refused and in which words, and the way out again."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.items import Item, Origin, Rejection
from pellucid.metrics.chrf import chrf
from pellucid.metrics.copied import copied
from pellucid.metrics.writing import entropy, mean_of, repeats
from pellucid.modalities import font
from pellucid.modalities.page import pages
from pellucid.modalities.sheet import sheet
from pellucid.modalities.text import HIDDEN, Text
from pellucid.modalities.vocabulary import END, STRANGE, UNKNOWN, Vocabulary, learn_vocabulary
from pellucid.model.answering import likeliest

POEM = "Spring sleep, not aware of dawn:\neverywhere birds are heard.\n\n春眠不觉晓，处处闻啼鸟。\n"


def learned(tokens: str = "characters", **settings: object) -> Text:
    """Text with the vocabulary of the poem."""
    from collections import Counter

    words = learn_vocabulary(tokens, Counter(POEM), [POEM] * 3, 300)  # type: ignore[arg-type]
    return Text(tokens=tokens, vocabulary=words.tokens, **settings)  # type: ignore[arg-type]


def read(text: Text, path: Path, size: int = 16, **settings: object) -> tuple[list[Item], list[Rejection], list[Origin]]:
    found = list(text.read(path, size=size, **settings))  # type: ignore[arg-type]
    kinds = [[record for record in found if isinstance(record, kind)] for kind in (Item, Rejection, Origin)]
    return kinds[0], kinds[1], kinds[2]  # type: ignore[return-value]


# Vocabularies


@pytest.mark.parametrize("tokens", ["characters", "bytes", "pairs"])
def test_text_is_read_back_as_it_was(tokens: str) -> None:
    text = learned(tokens)
    numbers = text.words.encode(POEM)
    assert text.words.decode(numbers) == POEM
    assert text.words.decode([*numbers, END, *numbers]) == POEM
    assert max(numbers) < len(text.words) == text.categories
    assert min(numbers) > UNKNOWN
    if tokens == "pairs":
        assert len(text.words) == 300
        assert len(numbers) < len(POEM.encode())


@given(st.text())
def test_bytes_and_pairs_know_every_text(words: str) -> None:
    for text in (Vocabulary("bytes"), PAIRS):
        assert text.decode(text.encode(words)) == words


PAIRS = learned("pairs").words


def test_a_word_is_of_the_same_pieces_wherever_it_stands() -> None:
    """First in a text, after another, and in a model of before, whose vocabulary reads nothing ahead."""
    assert PAIRS.encode("dawn by dawn")[: len(PAIRS.encode("dawn"))] == PAIRS.encode("dawn")
    assert PAIRS.encode("by dawn")[-len(PAIRS.encode("dawn")) :] == PAIRS.encode("dawn")
    assert PAIRS.encode("dawn", begins=False) != PAIRS.encode("dawn")
    assert PAIRS.encode("") == []
    old = Vocabulary("pairs", PAIRS.tokens[:1])
    assert old.encode("dawn") == PAIRS.encode("dawn", begins=False)
    assert old.decode(old.encode(" dawn")) == " dawn"


def test_what_is_not_known_is_shown_as_such() -> None:
    text = learned()
    assert text.words.decode(text.words.encode("dawn ☃!")) == f"dawn {STRANGE}{STRANGE}"
    assert text.words.is_strange("☃")
    masked = torch.tensor([[[*text.words.encode("da"), text.categories, *text.words.encode("n")]]])
    assert text.texts(masked, HIDDEN) == [f"da{HIDDEN}n"]
    assert text.texts(masked) == ["dan"]


def test_the_most_frequent_characters_come_first() -> None:
    from collections import Counter

    assert learn_vocabulary("characters", Counter("abbccc"), [], 0).tokens == ("c", "b", "a")


# Files


def test_documents_become_windows(tmp_path: Path) -> None:
    """A short text is filled up; a long one is cut, every token once."""
    (tmp_path / "a.txt").write_text("short")
    (tmp_path / "b.txt").write_text("a text of thirty-six characters here")
    items, rejected, origins = read(Text(), tmp_path)
    text = Text(vocabulary=tuple(origins[0].details["vocabulary"]))
    assert not rejected
    assert [item.source for item in items] == ["a.txt", "b.txt@0", "b.txt@1", "b.txt@2"]
    assert text.texts(text.decode(np.stack([item.data for item in items]))) == [
        "short", "a text of thirty", "-six characters ", "here",
    ]  # fmt: skip
    assert items[0].data.tolist()[0][5:] == [END] * 11
    assert origins[1].notes == ("texts longer than 16 tokens are cut into several windows",)


def test_windows_that_overlap(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefghijklmnopqrst")
    items, _, origins = read(Text(stride=4), tmp_path, size=8)
    text = Text(vocabulary=tuple(origins[0].details["vocabulary"]))
    assert text.texts(text.decode(np.stack([item.data for item in items]))) == [
        "abcdefgh", "efghijkl", "ijklmnop", "mnopqrst",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("split", "expected"),
    [("auto", ["one\n\ntwo", "three"]), ("file", ["one\n\ntwo\n%\nthree"]), ("paragraph", ["one", "two\n%\nthree"]),
     ("line", ["one", "two", "%", "three"])],
)  # fmt: skip
def test_how_files_are_split(split: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\ntwo\r\n%\r\nthree\r\n")
    items, _, origins = read(Text(split=split), tmp_path, size=32)  # type: ignore[arg-type]
    text = Text(vocabulary=tuple(origins[0].details["vocabulary"]))
    assert text.texts(text.decode(np.stack([item.data for item in items]))) == expected


def test_lines_of_json_with_labels(tmp_path: Path) -> None:
    """Objects or strings; labels under a usual name, or the one asked for."""
    rows = [{"text": "one", "author": "A", "mood": "glad"}, "two", {"content": "three", "mood": 3}, {"text": " "}, {"a": 1}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n\n")
    items, rejected, _ = read(Text(), tmp_path / "a.jsonl")
    assert [(item.source, item.label) for item in items] == [("a.jsonl#0", "A"), ("a.jsonl#1", None), ("a.jsonl#2", None)]
    assert [(one.source, one.reason.split(" under")[0]) for one in rejected] == [
        ("a.jsonl#3", "no text"), ("a.jsonl#4", "no text"), ("a.jsonl#5", "not JSON"),
    ]  # fmt: skip
    asked, _, _ = read(Text(), tmp_path / "a.jsonl", column="mood")
    assert [item.label for item in asked] == ["glad", None, "3"]


def test_folders_are_labels(tmp_path: Path) -> None:
    for name in ("song/a.txt", "tale/b.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    items, _, _ = read(Text(), tmp_path)
    assert [item.label for item in items] == ["song", "tale"]
    assert Text().recognises(tmp_path)
    assert not Text().recognises(tmp_path / "nothing")


def test_a_model_reads_with_its_own_vocabulary(tmp_path: Path) -> None:
    """New characters are told of, not learned."""
    (tmp_path / "a.txt").write_text("dawn ☃ ☂")
    items, _, origins = read(learned(), tmp_path)
    assert learned().texts(learned().decode(items[0].data[None])) == [f"dawn {STRANGE} {STRANGE}"]
    assert origins[0].notes == (f"2 kinds of characters are not known to the model: read as {STRANGE}",)


BAD = {
    "latin.txt": ("caf\xe9".encode("latin-1"), "not UTF-8: byte 3 is 0xe9"),
    "nul.txt": (b"a\0b", "not text: it holds the byte 0"),
    "empty.txt": (b"", "nothing in it"),
    "blank.txt": (b" \n\n ", "nothing in it"),
    "utf16.txt": ("hello".encode("utf-16"), "not UTF-8"),
    "empty.jsonl": (b"\n\n", "no line of it has a text"),
    "cut.jsonl": (b'{"text": "on', "not JSON"),
    "gzip.txt": (gzip.compress(b"hello"), "not"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_text_is_skipped_and_listed(name: str, tmp_path: Path) -> None:
    """Among others it is named with its reason; alone it is refused with the same."""
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="Nothing to read") as error:
        read(Text(), tmp_path)
    assert reason in str(error.value)
    (tmp_path / "good.txt").write_text("good")
    items, rejected, _ = read(Text(), tmp_path)
    assert [item.source for item in items] == ["good.txt"]
    assert any(one.source.startswith(name) and reason in one.reason for one in rejected)


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    """One line, 10 million letters: every one of them in some window."""
    (tmp_path / "long.txt").write_text("ab" * 5_000_000)
    count = sum(int((record.data > 0).sum()) for record in Text().read(tmp_path, size=1024) if isinstance(record, Item))
    assert count == 10_000_000


@pytest.mark.parametrize(
    ("ask", "words"),
    [(lambda: Text(pieces=10), "modality.pieces = 10: expected 300"), (lambda: Text(stride=-1), "modality.stride = -1"),
     (lambda: list(Text().read(Path("x"), size=2)), "size = 2: expected windows of 4"),
     (lambda: list(Text().read(Path("x"), channels=3)), "channels = 3: text has one")],
)  # fmt: skip
def test_settings_out_of_range(ask: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ask()  # type: ignore[operator]


# Pairs


def test_pairs_are_two_windows(tmp_path: Path) -> None:
    """The source, its end, then the target; what is no pair, or does not fit, is listed."""
    rows = [
        {"source": "hallo", "target": "hello"}, {"src": "welt", "tgt": "world", "style": "x"}, {"source": "ach"},
        {"target": "oh"}, {"source": "", "target": "nothing"}, {"source": "a", "target": 3}, {"text": "alone"},
        {"source": "far too long", "target": "x"}, {"source": "x", "target": "far too long"},
        {"text": "a text", "source": "of the web"},
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items, rejected, origins = read(Text(), tmp_path, size=6)
    text = Text(**{name: tuple(value) if isinstance(value, list) else value for name, value in origins[0].details.items()})
    x = text.decode(np.stack([item.data for item in items]))
    assert x.shape == (2, 1, 12)
    assert text.sourced == 6
    assert (text.sources(x), text.texts(x)) == (["hallo", "welt"], ["hello", "world"])
    assert items[1].label == "x"
    assert [one.reason for one in rejected] == [
        "'source' without 'target'", "'target' without 'source'", "a pair without a source", "a pair without a target",
        "a text without a source, among pairs", "a source longer than its window of 6 tokens",
        "a target longer than its window of 6 tokens", "a text without a source, among pairs",
    ]  # fmt: skip
    text.write(x, tmp_path / "out.jsonl")
    again, _, _ = read(text, tmp_path / "out.jsonl", size=(12,))  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.stack([item.data for item in again]), text.encode(x))
    uneven, _, _ = read(Text(), tmp_path, size=(5, 8))  # type: ignore[arg-type]
    assert uneven[0].data.shape == (1, 13)


@given(st.text("ab c", max_size=12), st.text("ab c", max_size=12), st.sampled_from([1, 2]))
def test_chrf_is_that_of_sacrebleu(one: str, other: str, beta: int) -> None:
    found = sacrebleu.sentence_chrf(one, [other], remove_whitespace=True, beta=beta).score
    assert chrf(one, other, beta) == pytest.approx(found, abs=1e-9)
    assert chrf(one, other, 1.0) == pytest.approx(chrf(other, one, 1.0))


def test_the_candidate_most_like_the_others() -> None:
    assert likeliest(["a red cat", "a red hat", "some dog", "a red bat"]) in (0, 1, 3)
    assert likeliest(["alone"]) == 0


# The way out


@pytest.mark.parametrize("name", ["all.txt", "all.jsonl", "folder"])
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    texts = ["one line", "two\nlines", "春眠"]
    text = Text(vocabulary=tuple(sorted(set("".join(texts)))))
    samples = torch.tensor([[[*text.words.encode(one), *[END] * (12 - len(one))]] for one in texts])
    files = text.write(samples, tmp_path / name, labels=["a", "b", None] if name.endswith("jsonl") else None)
    assert all(file.is_file() for file in files)
    items, _, _ = read(text, tmp_path / name, size=12)
    np.testing.assert_array_equal(np.stack([item.data for item in items]), text.encode(samples))
    if name.endswith("jsonl"):
        assert [item.label for item in items] == ["a", "b", None]


def test_other_ways_out(tmp_path: Path) -> None:
    text = Text.example()
    samples = torch.tensor([[[2, 3, 4]], [[7, END, END]]])
    text.write(samples, tmp_path / "a.npy")
    np.testing.assert_array_equal(text.decode(np.load(tmp_path / "a.npy")), samples)
    text.write(samples, tmp_path / "a.png")
    text.journey([samples, torch.full_like(samples, text.categories)], tmp_path / "a.gif")
    assert (tmp_path / "a.png").stat().st_size
    assert (tmp_path / "a.gif").stat().st_size
    with pytest.raises(UserError, match=r"Cannot write texts as 'a\.mp3'"):
        text.write(samples, tmp_path / "a.mp3")


def test_pages_hold_their_letters() -> None:
    """All of one size, ink where there are letters, none where there are none; long texts are cut."""
    made = pages(["a few\rwords\x07\nin\ttwo lines\u202e", "", "x" * 1000], 64)
    assert len({page.shape for page in made}) == 1
    assert made[1].min() == 255
    assert made[0].min() < 100
    assert made[2].shape[2] < 1000


def test_what_cannot_be_drawn_is_a_space() -> None:
    """On a page and under a picture; letters that Pillow's font does not know bring in the machine's, which fail on \\r."""
    strange, plain = ["汉 a\rb\x00c\x1b"], ["汉 a b c "]
    np.testing.assert_array_equal(pages(strange, 64), pages(plain, 64))
    tiles = [np.full((3, 96, 96), 200, np.uint8)]
    np.testing.assert_array_equal(np.asarray(sheet(tiles, labels=["a\rb\nc"])), np.asarray(sheet(tiles, labels=["a b c"])))


def test_a_font_that_knows_the_letters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pillow's where it is enough, whatever the machine has; else the one that knows most."""
    monkeypatch.setattr(font, "PLACES", (str(tmp_path),))
    font._installed.cache_clear()
    latin = font.font_for("Gruss", 13)
    assert font.unknown(latin, frozenset("Gruss")) == 0
    assert font.unknown(latin, frozenset("春眠a")) == 2
    assert font.font_for("春眠", 13) is latin  # nothing better is there
    (tmp_path / "DejaVuSansMono.ttf").write_bytes(b"no font")
    font._installed.cache_clear()
    assert font.font_for("春眠", 13) is latin
    font._installed.cache_clear()


# Figures of writing


def test_figures_of_texts_by_hand() -> None:
    texts = np.array([[1, 2, 3, 4, 1, 2, 3, 4], [5, 5, 5, 5, 5, 5, 0, 0], [1, 2, 0, 0, 0, 0, 0, 0], [0] * 8])
    none = np.zeros((1, 8), np.int64)
    np.testing.assert_allclose(entropy(texts, none), [2, 0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(repeats(texts, none), [1 / 5, 2 / 3, 0, 0])
    found = mean_of(np.array([1.0, 3.0]), np.array([5.0]))
    assert (found.value, found.floor, found.n) == (2, 5, 2)
    assert found.high - found.value == pytest.approx(1.96)


def test_the_longest_copied_stretch() -> None:
    """Against every stretch of every row compared one by one."""
    rng = np.random.default_rng(0)
    data, texts = rng.integers(1, 4, (40, 20)), rng.integers(1, 4, (30, 16))
    texts[0, 3:14] = data[7, 5:16]
    texts[1] = 0
    texts[2, 5:] = 0
    data[5, 10:] = 0
    stretches = [{tuple(row[i:j]) for i in range(20) for j in range(i + 1, 21) if 0 not in row[i:j]} for row in data]

    def longest(row: np.ndarray, without: int | None = None) -> int:
        known = set().union(*(found for place, found in enumerate(stretches) if place != without))
        ends = [(i, j) for i in range(len(row)) for j in range(i + 1, len(row) + 1) if 0 not in row[i:j]]
        return max((j - i for i, j in ends if tuple(row[i:j]) in known), default=0)

    assert copied(texts, data).tolist() == [longest(row) for row in texts]
    assert copied(texts, data)[0] >= 11
    own = np.arange(10)
    assert copied(data[:10], data, own).tolist() == [longest(data[i], i) for i in range(10)]
    assert copied(data[:10], data).tolist() == [int((row > 0).sum()) for row in data[:10]]


def test_what_features_of_texts_tell() -> None:
    """Nothing of what follows the end; the same for the same text; something of the order of tokens."""
    text = Text.example()
    one, two, three = torch.tensor([[[2, 3, 4, END, 5, 6]], [[2, 3, 4, END, 7, 7]], [[4, 3, 2, END, END, END]]])
    seen = text.view(torch.stack([one, two, three]))
    assert seen.ndim == 2
    torch.testing.assert_close(text.view(torch.stack([one]))[0], seen[0])
    assert float((seen[0] - seen[2]).abs().max()) > 0.1
    torch.testing.assert_close((seen**2).sum(1), torch.tensor([3.0, 3.0, 3.0]))
