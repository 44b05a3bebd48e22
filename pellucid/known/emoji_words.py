"""The words that others have collected for each emoji, in English and Chinese, from packages of the npm registry."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pellucid.core.errors import UserError
from pellucid.known.emoji_captions import Words, unfolded

NAMES = ("emojibase", "joypixels", "github")
"""Whose short names are captions too."""

_SIMPLIFY = """
import { readFileSync } from "node:fs";
const { default: OpenCC } = await import(process.argv[1]);
process.stdout.write(OpenCC.Converter({ from: "twp", to: "cn" })(readFileSync(0, "utf8")));
"""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Words by the plain code of an emoji.

    Attributes:
        english: entries of emojibase: label and tags.
        chinese: the same for Chinese.
        taiwanese: the same as said in Taiwan, in simplified characters; more tags.
        keywords: of emojilib, a name first; more English.
        names: short names, a table for each source.
    """

    english: Mapping[str, dict[str, Any]]
    chinese: Mapping[str, dict[str, Any]]
    taiwanese: Mapping[str, dict[str, Any]]
    keywords: Mapping[str, Sequence[str]]
    names: Sequence[Mapping[str, Sequence[str]]]

    @classmethod
    def read(cls, packages: Path) -> Self:
        """From unpacked packages, each in a folder of its name."""
        base, keywords = packages / "emojibase-data", read_json(packages / "emojilib" / "dist" / "emoji-en-US.json")
        taiwanese = simplified(json.dumps(read_json(base / "zh-hant" / "data.json"), ensure_ascii=False), packages)
        return cls(
            english=_by_code(read_json(base / "en" / "data.json")),
            chinese=_by_code(read_json(base / "zh" / "data.json")),
            taiwanese=_by_code(json.loads(taiwanese)),
            keywords={plain("-".join(f"{ord(point):04X}" for point in one)): words for one, words in keywords.items()},
            names=[_by_name(read_json(base / "en" / "shortcodes" / f"{source}.json")) for source in NAMES],
        )

    def words(self, code: str, names: Sequence[str]) -> tuple[Words, Words]:
        """All that is known of an emoji in English and in Chinese, `names` among it."""
        name, *keywords = (word.replace("_", " ") for word in self.keywords.get(code, ("",)))
        others = [other for table in self.names for other in table.get(code, ())] + [name] * bool(name)
        taiwanese = self.taiwanese.get(code, {})
        said = [unfolded(taiwanese.get("label", "").replace("：", ": ")), *taiwanese.get("tags", ())]
        tags = [tag for some in (*self.chinese[code].get("tags", ()), *said) for tag in re.split("[，、,]", some)]
        return (
            Words.of(self.english[code] | _tags([*self.english[code].get("tags", ()), *keywords]), [*others, *names]),
            Words.of(self.chinese[code] | _tags([tag for tag in tags if tag and not tag.isascii()])),
        )


def simplified(text: str, packages: Path) -> str:
    """Chinese as written and said in Taiwan to simplified Chinese, by OpenCC."""
    module = (packages / "opencc-js" / "dist" / "esm" / "full.js").resolve().as_uri()
    command = ["node", "--input-type=module", "--eval", _SIMPLIFY, module]
    ended = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    if ended.returncode:
        told = [line for line in ended.stderr.splitlines() if "Error" in line] or ["it says nothing"]
        raise UserError(f"Node.js cannot run opencc-js of '{packages}': {told[0]}")
    return ended.stdout


def plain(code: str) -> str:
    """A code without the selector of the coloured form."""
    return code.upper().replace("-FE0F", "")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _tags(tags: Sequence[str]) -> dict[str, Any]:
    return {"tags": tuple(dict.fromkeys(tags))}


def _by_code(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {plain(entry["hexcode"]): entry for entry in entries}


def _by_name(table: Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    return {plain(code): [names] if isinstance(names, str) else names for code, names in table.items()}
