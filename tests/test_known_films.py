"""The known data set of films: animated emoji, as they are thinned, laid on white and captioned."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pellucid.core.errors import UserError
from pellucid.core.items import Item
from pellucid.known.animated_emoji import PARTS, AnimatedEmoji
from pellucid.modalities.video import Video


def animated(path: Path, count: int) -> None:
    """A red square that moves to the right on nothing."""
    frames = []
    for place in range(count):
        frame = Pillow.new("RGBA", (256, 256), (0, 0, 0, 0))
        frame.paste((255, 0, 0, 255), (place * 2, 64, place * 2 + 64, 192))
        frames.append(frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=count > 1, append_images=frames[1:], duration=42, loop=0, lossless=True)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    place = tmp_path / "packages"
    for part, name, count in ((0, "2764-fe0f", 40), (1, "1f600", 36), (1, "1f601", 1), (2, "1f44b-1f3fb", 36)):
        animated(place / PARTS[part] / "assets" / f"{name}.webp", count)
    base = place / "emojibase-data"
    (base / "meta").mkdir(parents=True)
    (base / "meta" / "groups.json").write_text(json.dumps({"groups": {"0": "smileys-emotion", "1": "people-body"}}))
    for language, words in (("en", ("red heart", "grinning face", "beaming face")), ("zh", ("红心", "嘿嘿", "嘻嘻"))):
        (base / language).mkdir()
        rows = [{"hexcode": code, "label": label, "group": 0}
                for code, label in zip(("2764-FE0F", "1F600", "1F601"), words, strict=True)]  # fmt: skip
        (base / language / "data.json").write_text(json.dumps(rows))
    return place


def test_animated_emoji(packages: Path, tmp_path: Path) -> None:
    """What moves, but no skins again; every second frame; words of both languages; read as it was meant."""
    folder = tmp_path / "emoji"
    folder.mkdir()
    AnimatedEmoji(packages).write(folder, lambda *_: None)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["smileys-emotion/1F600.webp", "smileys-emotion/2764.webp"]
    assert "red heart moving" in rows[1]["captions"]
    assert "会动的红心" in rows[1]["captions"]
    items = [one for one in Video().read(folder) if isinstance(one, Item)]
    assert [item.label for item in items] == ["smileys-emotion"] * 2  # the few frames that are left make no window
    assert items[1].data.shape == (3, 16, 32, 32)
    redness = (items[1].data[0].astype(int) - items[1].data[1]).mean(1)  # (T, W)
    where = (redness * np.arange(32)).sum(1) / redness.sum(1)
    np.testing.assert_allclose(np.diff(where), 0.5, atol=0.1)  # 4 of 256 pixels a frame


def test_packages_without_films(tmp_path: Path, packages: Path) -> None:
    for part in PARTS:
        for path in (packages / part).rglob("*.webp"):
            path.unlink()
    (tmp_path / "emoji").mkdir()
    with pytest.raises(UserError, match=r"holds none of .* that moves"):
        AnimatedEmoji(packages).write(tmp_path / "emoji", lambda *_: None)
