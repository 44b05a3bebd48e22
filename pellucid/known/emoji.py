"""Emoji of two styles with captions in English and Chinese, from packages of the npm registry."""

import json
from pathlib import Path
from random import Random
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import ClassVar

from PIL import Image as Pillow

from pellucid.known.emoji_captions import captions, colour_of
from pellucid.known.emoji_words import Vocabulary, plain, read_json
from pellucid.known.npm import install
from pellucid.known.recipe import Progress, Recipe

PACKAGES = ("emoji-datasource-google@16.0.0", "emoji-datasource-twitter@16.0.0", "emojibase-data@17.0.0", "emojilib@4.0.3")
"""Whose pictures and words these are."""
TOOLS = ("opencc-js@1.4.2",)
"""By which they are made ready."""
STYLES = {"noto": "google", "twemoji": "twitter"}
"""The style of a picture, which is its label, and the vendor's name in the packages."""


class Emoji(Recipe):
    """Pictures of 64 x 64 in noto/ and twemoji/, and metadata.jsonl with their captions.

    Every emoji that both styles have, in its plain form: skin tones are left out. `folder` of unpacked packages may be
    given instead of the download.
    """

    title: ClassVar[str] = "Emoji: 1,911 pictures of 64 x 64 in each of two styles, with captions in English and Chinese"
    origin: ClassVar[str] = "https://www.npmjs.com/package/emoji-datasource"
    credit: ClassVar[str] = (
        "Noto Emoji, Google LLC; Twemoji, Twitter, Inc. and other contributors (graphics licensed under CC-BY 4.0: "
        "https://creativecommons.org/licenses/by/4.0/); pictures as in emoji-datasource by Cal Henderson, laid on white; "
        "words from emojibase-data by Miles Johnson, Unicode CLDR and emojilib by Mu-An Chiou, put together into captions "
        "here (those of Taiwan in simplified characters, by opencc-js)."
    )
    licence: ClassVar[str] = (
        "Noto Emoji: Apache-2.0. Twemoji graphics: CC-BY 4.0. emoji-datasource, emojibase-data and emojilib: MIT, their "
        "files in licences/. CLDR: Unicode License."
    )

    def __init__(self, packages: Path | None = None) -> None:
        self.packages = packages

    def write(self, folder: Path, progress: Progress) -> None:
        if self.packages is not None:
            _write(self.packages, folder, progress)
            return
        with TemporaryDirectory() as place:
            _write(install([*PACKAGES, *TOOLS], Path(place), "Emoji"), folder, progress)


def _write(packages: Path, folder: Path, progress: Progress) -> None:
    known = [facts for facts in read_json(packages / "emoji-datasource-google" / "emoji.json")
             if facts["has_img_google"] and facts["has_img_twitter"]]
    vocabulary, rows = Vocabulary.read(packages), []
    for style in STYLES:
        (folder / style).mkdir()
    for number, facts in enumerate(known):
        code = plain(facts["unified"])
        words = vocabulary.words(code, facts["short_names"])
        for style, vendor in STYLES.items():
            with Pillow.open(packages / f"emoji-datasource-{vendor}" / "img" / vendor / "64" / facts["image"]) as opened:
                picture = opened.convert("RGBA")
            said = captions(*words, colour_of(picture), Random(f"{code} {style}"))
            page = Pillow.new("RGBA", picture.size, "white")
            page.alpha_composite(picture)
            page.convert("RGB").save(folder / style / f"{code}.webp", lossless=True, method=6)
            rows.append({"file_name": f"{style}/{code}.webp", "label": style, "captions": said})
        progress(number + 1, len(known))
    for package in (name.partition("@")[0] for name in PACKAGES):
        (folder / "licences" / package).mkdir(parents=True)
        copyfile(packages / package / "LICENSE", folder / "licences" / package / "LICENSE")
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "metadata.jsonl").write_text(lines + "\n", encoding="utf-8")
