"""Known texts, from a program and packages that are stood in for here: what is fetched is text that training reads."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pellucid.core.errors import UserError
from pellucid.core.items import Item, Origin
from pellucid.known import debian_texts, descriptions, king_james, recipes, verses
from pellucid.known.descriptions import described
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


# Pairs


def pairs_in(folder: Path) -> list[tuple[str, str]]:
    files = [next((folder / part).glob("*.jsonl")) for part in ("train", "validation", "test")]
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [(row["source"], row["target"]) for row in rows]


def test_descriptions_at_length_and_in_a_line() -> None:
    """Paragraphs and lists become one; packages with little to say are left out."""
    text = f"""Package: one
Description-md5: 123
Description-en: a line  of one
 {"word " * 20}
 .
  * an item

Package: two
Description-en: a line of two
 short

"""
    assert list(described(text)) == [("one", (f"{'word ' * 20}* an item", "a line of one"))]


def test_descriptions_are_read_from_the_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "LISTS", tmp_path)
    with pytest.raises(UserError, match="Acquire::Languages=en update"):
        fetched("descriptions", tmp_path / "none")
    helper = tmp_path / "helper"
    helper.write_text('#!/bin/sh\ncat "$2"\n')
    helper.chmod(0o755)
    monkeypatch.setattr(descriptions, "HELPER", helper)
    blocks = (f"Package: {name}\nDescription-en: short {i:02}\n long {i:02} {'x' * 80}\n"
              for i, name in enumerate("abcdefghijklmnopqrst"))  # fmt: skip
    (tmp_path / "a_main_i18n_Translation-en").write_text("\n".join(blocks))
    fetched("descriptions", tmp_path / "out")
    assert sorted(pairs_in(tmp_path / "out")) == [(f"long {i:02} {'x' * 80}", f"short {i:02}") for i in range(20)]
    assert json.loads((tmp_path / "out" / "test" / "descriptions.jsonl").read_text())["target"] == "short 19"
    built = (f"Package: {name}\nSource: t-{version}\n" for version, name in enumerate("abc"))
    (tmp_path / "a_main_binary-amd64_Packages").write_text("\n".join(built))
    fetched("descriptions", tmp_path / "together")
    test = (tmp_path / "together" / "test" / "descriptions.jsonl").read_text()
    assert not test.strip(), "there are but 18 sources now, of which none is the twentieth"
    assert sorted(pairs_in(tmp_path / "together")) == sorted(pairs_in(tmp_path / "out"))


def test_dialogues_are_sayings_with_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn with the next; the same pair once."""
    place = tmp_path / "site" / "chatterbot_corpus" / "data" / "english"
    place.mkdir(parents=True)
    (place.parents[1] / "__init__.py").write_text("")
    (place / "conversations.yml").write_text("conversations:\n- - Hello\n  - Hi\n  - How are you?\n- - Hello\n  - Hi\n")
    (place / "more.yml").write_text("conversations:\n" + "".join(f"- - say {i}\n  - {i}\n" for i in range(10)))
    monkeypatch.syspath_prepend(tmp_path / "site")
    fetched("dialogues", tmp_path / "out")
    found = pairs_in(tmp_path / "out")
    assert len(found) == 12
    assert {("Hello", "Hi"), ("Hi", "How are you?"), ("say 3", "3")} <= set(found)


def test_replies_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wildcards, nor markup, nor what depends on something said before."""
    place = tmp_path / "site" / "aiml" / "botdata" / "alice"
    place.mkdir(parents=True)
    (place.parents[1] / "__init__.py").write_text("")
    rows = [("HELLO", "Hi &amp; welcome."), ("WHAT IS *", "Who knows?"), ("MY NAME", "<get name='it'/>"), ("_ YOU", "Me?")]
    rows += [(f"SAY {i}", f"{i}.") for i in range(9)]
    said = [f"<category><pattern>{a}</pattern><template>{b}</template></category>" for a, b in rows]
    said.append("<category><pattern>YES</pattern><that>DO YOU</that><template>Good.</template></category>")
    (place / "alice.aiml").write_text(f"<aiml version='1.0'>{''.join(said)}</aiml>")
    monkeypatch.syspath_prepend(tmp_path / "site")
    fetched("replies", tmp_path / "out")
    assert sorted(pairs_in(tmp_path / "out")) == [("hello", "Hi & welcome."), *((f"say {i}", f"{i}.") for i in range(9))]


def test_verses_that_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verse by verse over all books; what one of the two lacks is left out."""

    class Bible:
        def __init__(self, words: str) -> None:
            self.words = words

        def get_structure(self) -> object:
            book = SimpleNamespace(name="Genesis", chapter_lengths=[2, *[1] * 19])
            return SimpleNamespace(get_books=lambda: {"ot": [book]})

        def get(self, books: list[str], chapters: list[int], verses: list[int], clean: bool) -> str:
            assert (books, clean) == (["Genesis"], True)
            here = f"{chapters[0]}:{verses[0]}"
            return "" if (self.words, here) == ("es", "1:1") else f" {self.words} {here} \n"

    class Modules:
        there: tuple[str, ...] = (verses.ENGLISH, verses.SPANISH)

        def __init__(self, path: str) -> None:
            assert path == str(verses.SWORD)

        def parse_modules(self) -> dict[str, str]:
            return dict.fromkeys(self.there, "")

        def get_bible_from_module(self, name: str) -> Bible:
            return Bible("en" if name == verses.ENGLISH else "es")

    monkeypatch.setattr(verses, "optional", lambda *_: SimpleNamespace(SwordModules=Modules))
    fetched("verses", tmp_path / "out")
    assert len(pairs_in(tmp_path / "out")) == 20
    assert pairs_in(tmp_path / "out")[0] == ("en 1:2", "es 1:2")
    assert pairs_in(tmp_path / "out")[-1] == ("en 20:1", "es 20:1"), "the chapter that is held back"
    Modules.there = (verses.ENGLISH,)
    with pytest.raises(UserError, match="apt-get install sword-text-kjv"):
        fetched("verses", tmp_path / "none")
