"""Emoji that move, with captions in English and Chinese, from packages of the npm registry."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from PIL import Image as Pillow

from pellucid.core.errors import UserError
from pellucid.known.emoji_words import plain, read_json
from pellucid.known.npm import install
from pellucid.known.recipe import Progress, Recipe

PARTS = tuple(f"@lobehub/fluent-emoji-anim-{part}" for part in (1, 2, 3, 4))
WORDS = "emojibase-data"
PACKAGES = (*(f"{part}@1.0.0" for part in PARTS), f"{WORDS}@17.0.0")
TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
"""Of skin: the same again in another colour, left out."""
SIDE, EVERY, SHOWN = 64, 2, 83
"""Pixels; of 24 frames a second every second is kept, and shown for so many milliseconds."""
CAPTIONS = ("{}", "{} moving", "an animated {}"), ("{}", "会动的{}", "{}的动画")


class AnimatedEmoji(Recipe):
    """Films of 64 x 64, 12 frames a second, about three seconds each, in folders by kind, and metadata.jsonl with captions.

    `folder` of unpacked packages may be given instead of the download, which is large.
    """

    title: ClassVar[str] = "Animated emoji: 734 films of 64 x 64 in 8 kinds, with captions, English and Chinese (730 MB)"
    origin: ClassVar[str] = "https://www.npmjs.com/package/@lobehub/fluent-emoji-anim-1"
    credit: ClassVar[str] = (
        "Fluent Emoji by Microsoft Corporation, animated, as packaged by LobeHub; every second frame, reduced and laid on "
        "white; words from emojibase-data by Miles Johnson and Unicode CLDR, put together into captions here."
    )
    licence: ClassVar[str] = "Fluent Emoji, fluent-emoji-anim and emojibase-data: MIT. CLDR: Unicode License."

    def __init__(self, packages: Path | None = None) -> None:
        self.packages = packages

    def write(self, folder: Path, progress: Progress) -> None:
        if self.packages is not None:
            _write(self.packages, folder, progress)
            return
        with TemporaryDirectory() as place:
            _write(install(PACKAGES, Path(place), "Animated emoji"), folder, progress)


def _write(packages: Path, folder: Path, progress: Progress) -> None:
    base = packages / WORDS
    groups = {int(number): name for number, name in read_json(base / "meta" / "groups.json")["groups"].items()}
    english, chinese = ({plain(one["hexcode"]): one for one in read_json(base / language / "data.json")}
                        for language in ("en", "zh"))  # fmt: skip
    rows, found = [], list(_films(packages))
    for number, path in enumerate(found):
        code, frames = plain(path.stem), _frames(path)
        progress(number + 1, len(found))
        if len(frames) < 2 or code not in english or code not in chinese:
            continue
        kind = groups[english[code]["group"]]
        (folder / kind).mkdir(exist_ok=True)
        name = f"{kind}/{code}.webp"
        frames[0].save(
            folder / name, save_all=True, append_images=frames[1:], duration=SHOWN, loop=0, quality=95, method=4
        )
        said = [form.format(str(words[code]["label"]).replace("’", "'"))
                for words, forms in ((english, CAPTIONS[0]), (chinese, CAPTIONS[1])) for form in forms]  # fmt: skip
        rows.append({"file_name": name, "label": kind, "captions": said})
    if not rows:
        raise UserError(f"'{packages}' holds none of {', '.join(PARTS)} that moves")
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "metadata.jsonl").write_text(lines + "\n", encoding="utf-8")


def _films(packages: Path) -> Iterator[Path]:
    """In the order of their names; most of them do not move."""
    found = [path for part in PARTS for path in (packages / part / "assets").glob("*.webp")]
    yield from sorted((path for path in found if not any(tone in path.stem for tone in TONES)), key=lambda path: path.name)


def _frames(path: Path) -> list[Pillow.Image]:
    """Those that are kept, on white."""
    frames = []
    with Pillow.open(path) as film:
        for number in range(0, getattr(film, "n_frames", 1), EVERY):
            film.seek(number)
            frame = film.convert("RGBA").resize((SIDE, SIDE), Pillow.Resampling.BICUBIC, reducing_gap=2)
            page = Pillow.new("RGBA", frame.size, "white")
            page.alpha_composite(frame)
            frames.append(page.convert("RGB"))
    return frames
