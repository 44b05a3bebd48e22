"""Known texts, from a program and packages that are stood in for here: what is fetched is text that training reads."""

from pathlib import Path

import pytest

from pellucid.core.errors import UserError
from pellucid.core.items import Item, Origin
from pellucid.known import debian_texts, king_james, recipes
from pellucid.known.fortunes import KINDS
from pellucid.modalities.text import Text


def fetched(name: str, folder: Path) -> None:
    recipes[name]().fetch(folder, lambda *_: None)
    assert "## Licence" in (folder / "README.md").read_text()


def texts_in(folder: Path) -> list[tuple[str, str | None]]:
    """Of every window, the text and the label."""
    records = list(Text().read(folder, size=400))
    words = next(record.details["vocabulary"] for record in records if isinstance(record, Origin))
    text = Text(vocabulary=tuple(words))
    return [(text.texts(text.decode(one.data[None]))[0], one.label) for one in records if isinstance(one, Item)]


@pytest.fixture
def bible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that prints what lies beside it."""
    program = tmp_path / "bible"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/verses\n")
    program.chmod(0o755)
    monkeypatch.setattr(king_james, "which", lambda name: str(program) if name == "bible" else None)
    return tmp_path / "verses"


def test_chapters_of_king_james(bible: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verses join to chapters, books with a number among them; the tenth and the twentieth are held back."""
    chapters = [f"Ge{chapter}" for chapter in range(1, 21)] + ["1Sm1", "1Sm2"]
    bible.write_text("\n".join(f"{chapter}:{verse} {chapter} says {verse}. " for chapter in chapters for verse in (1, 2)))
    monkeypatch.setattr(king_james, "VERSES", 44)
    fetched("king_james", tmp_path / "out")
    assert [text for text, _ in texts_in(tmp_path / "out" / "validation")] == ["Ge10 says 1.\nGe10 says 2."]
    assert [text for text, _ in texts_in(tmp_path / "out" / "test")] == ["Ge20 says 1.\nGe20 says 2."]
    train = [text for text, _ in texts_in(tmp_path / "out" / "train")]
    assert (len(train), train[-1]) == (20, "1Sm2 says 1.\n1Sm2 says 2.")


def test_a_bible_that_is_not_whole(bible: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bible.write_text("Ge1:1 In the beginning\n")
    with pytest.raises(UserError, match="printed 1 verses, expected 31,102"):
        fetched("king_james", tmp_path / "out")
    monkeypatch.setattr(king_james, "which", lambda _: None)
    with pytest.raises(UserError, match="apt-get install bible-kjv"):
        fetched("king_james", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_fortune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours and overstruck letters are gone; a kind is a label; of ten sayings one each is held back."""
    monkeypatch.setattr(debian_texts, "FORTUNES", tmp_path)
    with pytest.raises(UserError, match="package fortunes"):
        fetched("fortunes", tmp_path / "none")
    (tmp_path / "tang300").write_text("\x1b[32m《春晓》\x1b[m\n孟浩然\n春眠不觉晓\n%\n静夜思\n%\n")
    (tmp_path / "song100").write_text("水调歌头\n%\n")
    fetched("chinese_poems", tmp_path / "poems")
    assert texts_in(tmp_path / "poems") == [
        ("水调歌头", "song"), ("《春晓》\n孟浩然\n春眠不觉晓", "tang"), ("静夜思", "tang"),
    ]  # fmt: skip
    for kind in KINDS:
        (tmp_path / kind).write_text("\n%\n".join(f"{kind} _\b{i}" for i in range(10)) + "\n%\n")
    fetched("fortunes", tmp_path / "sayings")
    assert ("law 4", "law") in texts_in(tmp_path / "sayings" / "validation")
    assert ("law 9", "law") in texts_in(tmp_path / "sayings" / "test")
    assert len(texts_in(tmp_path / "sayings" / "train")) == 64
