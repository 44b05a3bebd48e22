"""What may be said of an emoji: captions in English and Chinese from its label, its tags, its names and its colour."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image as Pillow

ENGLISH, CHINESE = 20, 20
"""Captions of each picture, at most."""

COLOURS = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色", "pink": "粉色",
    "brown": "棕色", "black": "黑色", "white": "白色", "grey": "灰色",
}  # fmt: skip
HUES = (
    (15, "red"), (42, "orange"), (70, "yellow"), (170, "green"), (255, "blue"), (300, "purple"), (345, "pink"), (361, "red")
)
"""Up to how many degrees of hue a colour goes."""
MOSTLY = 0.5
"""Share of its visible pixels that a colour needs to be named."""

_FRAMES = (
    "{}", "{}", "a {}", "a picture of a {}", "a photo of a {}", "an image of a {}", "a drawing of a {}", "a {} emoji",
    "{} icon", "a cute {}", "the {}", "draw me a {}", "i want a {}",
)  # fmt: skip
_CHINESE_FRAMES = (
    "{}", "{}", "一个{}", "一张{}的图片", "{}的照片", "{}图标", "{}表情", "画一个{}", "可爱的{}", "一只{}", "{}的图画",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is known of one emoji in one language: its label, other names as good, and tags, which say less."""

    label: str
    names: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any], names: Sequence[str] = ()) -> "Words":
        """From an entry of emojibase and the short names that others use."""
        label = str(facts["label"]).replace("’", "'")
        return cls(
            label=unfolded(label), tags=tuple(map(str, facts.get("tags", ()))),
            names=tuple(dict.fromkeys(re.sub(r"[_\W]+", " ", name).strip() for name in names)),
        )


def captions(english: Words, chinese: Words, colour: str | None, random: Random) -> list[str]:
    """Different captions, English first."""
    spoken = _some(_english(english, colour, random), ENGLISH)
    return [*spoken, *_some(_chinese(chinese, COLOURS.get(colour or ""), random), CHINESE)]


def colour_of(picture: Pillow.Image) -> str | None:
    """The colour of most of what is visible, if there is one; of RGBA."""
    pixels = np.asarray(picture.convert("RGBA")).reshape(-1, 4)
    visible = pixels[pixels[:, 3] > 127, :3]
    if not len(visible):
        return None
    hsv = np.asarray(Pillow.fromarray(visible[None]).convert("HSV")).reshape(-1, 3).astype(float)
    hue, saturation, value = hsv[:, 0] * 360 / 255, hsv[:, 1] / 255, hsv[:, 2] / 255
    names = np.select([hue < edge for edge, _ in HUES], [name for _, name in HUES], "red").astype(object)
    names[(np.isin(names, ["red", "orange"])) & (value < 0.65)] = "brown"
    names[saturation < 0.18] = "grey"
    names[(saturation < 0.18) & (value > 0.85)] = "white"
    names[value < 0.25] = "black"
    found, counts = np.unique(names.astype(str), return_counts=True)
    return str(found[counts.argmax()]) if counts.max() > MOSTLY * len(names) else None


def _english(words: Words, colour: str | None, random: Random) -> Iterator[str]:
    names = [words.label, *words.names]
    while True:
        kind = random.random()
        name = random.choice(names)
        if colour and colour not in name and random.random() < 0.35:
            name = f"{colour} {name}"
        if kind < 0.55 or not words.tags:
            yield _with_article(random.choice(_FRAMES), name)
        elif kind < 0.75:
            tags = random.sample(words.tags, min(len(words.tags), random.choice((1, 2, 3))))
            yield " ".join([name, *tags])
        else:
            tags = random.sample(words.tags, min(len(words.tags), random.choice((1, 2, 2, 3))))
            yield _with_article(random.choice(_FRAMES), " ".join(tags))


def _chinese(words: Words, colour: str | None, random: Random) -> Iterator[str]:
    while True:
        kind = random.random()
        name = random.choice([words.label, *(tag for tag in words.tags if len(tag) > 1)]) if kind < 0.7 else words.label
        if kind > 0.85 and words.tags:
            name = "".join(random.sample(words.tags, min(2, len(words.tags))))
        if colour and colour[:1] not in name and random.random() < 0.35:
            name = f"{colour}的{name}" if random.random() < 0.7 else f"{colour[:1]}{name}"
        yield random.choice(_CHINESE_FRAMES).format(name)


def _some(made: Iterator[str], most: int) -> list[str]:
    """The first `most` different ones, as far as they turn up."""
    found: dict[str, None] = {}
    for caption, _ in zip(made, range(8 * most), strict=False):
        found[" ".join(caption.casefold().split())] = None
        if len(found) == most:
            break
    return list(found)


def unfolded(label: str) -> str:
    """A label as it is spoken.

    >>> unfolded("flag: Peru"), unfolded("woman: beard"), unfolded("man walking: facing right")
    ('flag of Peru', 'woman with beard', 'man walking facing right')
    >>> unfolded("旗: 秘鲁"), unfolded("男行人: 面向右边")
    ('秘鲁国旗', '面向右边的男行人')
    >>> unfolded("keycap: 7"), unfolded("按键: 7")
    ('keycap 7', '7按键')
    """
    first, _, second = label.partition(": ")
    if not second:
        return label
    if not first.isascii():  # Chinese
        if second.isascii():
            return second + first
        return f"{second}国旗" if first == "旗" else f"{second}的{first}"
    between = {"flag": " of "}.get(first, " " if first == "keycap" or second.startswith("facing") else " with ")
    return first + between + second


def _with_article(frame: str, name: str) -> str:
    said = frame.format(name)
    return re.sub(r"\ba (?=[aeiou])", "an ", said)
