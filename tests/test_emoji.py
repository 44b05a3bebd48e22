"""Emoji as a known data set: what is said of them, their colours, and how packages become a folder."""

import json
from pathlib import Path
from random import Random
from shutil import which
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pellucid.core.errors import UserError
from pellucid.core.items import Item
from pellucid.known import emoji_words
from pellucid.known.emoji import STYLES, Emoji
from pellucid.known.emoji_captions import CHINESE, COLOURS, ENGLISH, Words, captions, colour_of
from pellucid.modalities.image import Image

HEART = Words(label="red heart", names=("love",), tags=("heart", "emotion", "valentine"))
HEART_ZH = Words(label="红心", names=(), tags=("爱", "红色的心"))
FACTS: dict[str, Any] = {
    "1F431": ("cat face", ["cat", "pet"], "猫脸", ["猫"], (255, 200, 0)),
    "2764-FE0F": ("red heart", [], "红心", [], (220, 0, 20)),
}


def picture(colour: tuple[int, int, int], *, cover: float = 1.0) -> Pillow.Image:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[: round(64 * cover)] = (*colour, 255)
    return Pillow.fromarray(pixels)


@pytest.mark.parametrize(("colour", "name"), [
    ((230, 20, 20), "red"), ((20, 90, 230), "blue"), ((30, 160, 60), "green"), ((250, 220, 40), "yellow"),
    ((250, 250, 250), "white"), ((20, 20, 20), "black"), ((128, 128, 130), "grey"), ((120, 70, 20), "brown"),
    ((250, 140, 20), "orange"), ((150, 40, 220), "purple"), ((250, 120, 190), "pink"),
])  # fmt: skip
def test_colours_have_names(colour: tuple[int, int, int], name: str) -> None:
    assert colour_of(picture(colour, cover=0.3)) == name  # of what is visible
    assert name in COLOURS


def test_no_colour_where_there_is_none() -> None:
    assert colour_of(picture((0, 0, 0), cover=0)) is None
    halves = np.asarray(picture((230, 20, 20))).copy()
    halves[:22, :, :3], halves[22:43, :, :3] = (20, 90, 230), (30, 160, 60)
    assert colour_of(Pillow.fromarray(halves)) is None


def test_captions_are_many_and_in_both_languages() -> None:
    said = captions(HEART, HEART_ZH, "red", Random(0))
    assert len(said) == len(set(said)) == ENGLISH + CHINESE
    assert all(caption.isascii() for caption in said[:ENGLISH])
    assert not any(caption.isascii() for caption in said[ENGLISH:])
    assert any("red heart" in caption for caption in said)
    assert any("valentine" in caption for caption in said)
    assert not any("red red" in caption or "红色的红" in caption for caption in said)
    assert said == captions(HEART, HEART_ZH, "red", Random(0))
    assert captions(Words(label="x", names=(), tags=()), HEART_ZH, None, Random(0))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages with two emoji, and one more that only one of the styles has."""
    monkeypatch.setattr(emoji_words, "simplified", lambda text, _: text.replace("貓", "猫"))
    home = tmp_path / "packages"
    for name in ("emojibase-data", "emojilib"):
        write(home / name / "LICENSE", "MIT")
    write(home / "emojilib" / "dist" / "emoji-en-US.json", {"🐱": ["cat_face", "whiskers"], "🪐": ["ringed_planet"]})
    said = {"hexcode": "1F431", "label": "貓：小", "tags": ["寵物，可愛", "x"]}
    write(home / "emojibase-data" / "zh-hant" / "data.json", [said])
    known = [{"unified": code, "image": f"{code.lower()}.png", "short_names": ["x_y"], "has_img_google": True,
              "has_img_twitter": True} for code in FACTS]  # fmt: skip
    known.append({**known[0], "unified": "1F999", "has_img_twitter": False})
    for vendor in STYLES.values():
        place = home / f"emoji-datasource-{vendor}"
        write(place / "LICENSE", "MIT")
        write(place / "emoji.json", known)
        for code, facts in FACTS.items():
            file = place / "img" / vendor / "64" / f"{code.lower()}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(facts[4], cover=0.5).save(file)
    for language, label, tags in (("en", 0, 1), ("zh", 2, 3)):
        entries = [{"hexcode": code, "label": facts[label], "tags": facts[tags]} for code, facts in FACTS.items()]
        write(home / "emojibase-data" / language / "data.json", entries)
    for name in emoji_words.NAMES:
        write(home / "emojibase-data" / "en" / "shortcodes" / f"{name}.json", {"1F431": ["kitty"], "2764": "heart"})
    return home


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_packages_become_a_folder(packages: Path, tmp_path: Path) -> None:
    Emoji(packages).fetch(tmp_path / "out", lambda *_: None)
    items = [record for record in Image().read(tmp_path / "out") if isinstance(record, Item)]
    found = {(item.label, Path(item.source).stem): item for item in items}
    assert sorted(found) == [(style, code) for style in STYLES for code in ("1F431", "2764")]
    cat = found["noto", "1F431"]
    assert cat.data[:, 0, 0].tolist() == [255, 200, 0]
    assert cat.data[:, -1, -1].tolist() == [255, 255, 255]  # laid on white
    assert any("kitty" in caption for caption in cat.captions)
    assert any("whiskers" in caption for caption in cat.captions)  # of emojilib
    said = " ".join(caption for style in STYLES for caption in found[style, "1F431"].captions)
    assert all(word in said for word in ("猫脸", "小的猫", "寵物", "可愛")), said
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert all(word in text for word in ("Apache-2.0", "CC-BY 4.0", "Noto", "Twemoji"))
    assert len(list((tmp_path / "out" / "licences").glob("*/LICENSE"))) == 4


@pytest.mark.skipif(which("node") is None, reason="opencc-js runs in Node.js")
def test_what_is_said_in_taiwan_becomes_simplified(tmp_path: Path) -> None:
    place = tmp_path / "opencc-js" / "dist" / "esm" / "full.js"
    write(place.with_name("package.json"), {"type": "module"})
    write(place, 'export default { Converter: ({ from, to }) => text => text.replaceAll("貓", `猫 ${from} ${to}`) };')
    assert emoji_words.simplified("貓臉", tmp_path) == "猫 twp cn臉"
    place.unlink()
    with pytest.raises(UserError, match=r"opencc-js.*Cannot find module"):
        emoji_words.simplified("貓", tmp_path)


def test_without_npm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no npm here"):
        Emoji().fetch(tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()
