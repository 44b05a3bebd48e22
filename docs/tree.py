"""The file tree of the README: every module with the first sentence of its docstring, written by `python docs/tree.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
FOLDERS = ("pellucid", "examples", "benchmarks", "docs", "tests")
BLOCK = re.compile(r"(<!-- tree -->\n```text\n).*?(```\n<!-- /tree -->)", re.DOTALL)
CLAUSE = re.compile(r"[,:;]? (?:\(|and |so |with |which |whose |in |as |beside )|[,:;] ")
WIDTH = 112


def tree() -> str:
    """The tree, a line for each folder and Python file; `__init__` speaks for its folder."""
    return "".join(f"{line}\n" for folder in FOLDERS for line in _lines(ROOT / folder, 0))


def _lines(folder: Path, depth: int) -> Iterator[str]:
    opening = folder / "__init__.py"
    yield _line(f"{folder.name}/", first_sentence(opening) if opening.is_file() else "", depth)
    for path in sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
        if path.is_dir() and any(path.rglob("*.py")):
            yield from _lines(path, depth + 1)
        elif path.suffix == ".py" and path != opening:
            yield _line(path.name, first_sentence(path), depth + 1)


def _line(name: str, sentence: str, depth: int) -> str:
    place = f"{'  ' * depth}{name:<{26 - 2 * depth}} "
    return (place + _clauses(sentence, WIDTH - len(place))).rstrip()


def _clauses(sentence: str, room: int) -> str:
    """As many whole clauses as there is room for."""
    if len(sentence) <= room:
        return sentence
    ends = [match.start() for match in CLAUSE.finditer(sentence[:room])]
    return sentence[: ends[-1]] if ends else sentence[:room]


def first_sentence(path: Path) -> str:
    """Up to the first full stop or line end of the module's docstring."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return re.split(r"\. |\.$|:$", text, maxsplit=1)[0]


def with_tree(readme: str) -> str:
    """The README's text with its tree made anew."""
    return BLOCK.sub(lambda match: match[1] + tree() + match[2], readme)


if __name__ == "__main__":
    for readme in READMES:
        readme.write_text(with_tree(readme.read_text(encoding="utf-8")), encoding="utf-8")
