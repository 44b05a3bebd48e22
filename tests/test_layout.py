"""The house keeps its order: floors, no cycles, short files and functions, complete exports, a README whose tree is true."""

import ast
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = (
    {"core"},
    {"schedules", "networks", "sources"},
    {"processes", "codecs", "conditioners", "metrics"},
    {"denoisers"},
    {"guidance", "samplers", "losses"},
    {"modalities", "data", "known"},
    {"model"},
    {"interop", "evaluation"},
    {"training"},
    {"comparison", "tuning"},
    {"serving"},
    {"cli"},
)
INSTALLED_AS = {"PIL": "pillow", "sklearn": "scikit_learn", "yaml": "pyyaml"}
BROUGHT = {"huggingface_hub": "datasets", "sqlalchemy": "optuna", "starlette": "fastapi"}
PLUGGED_IN = {
    "aiohttp": "fsspec", "httptools": "uvicorn", "uvloop": "uvicorn", "python_multipart": "fastapi",
    "onnxscript": "torch", "tensorboard": "torch",
}  # fmt: skip
"""Imported by another library, when it is there."""
FILES = sorted((ROOT / "pellucid").rglob("*.py"))
PLACES = ("pellucid", "tests", "examples", "benchmarks", "docs")
ALL_FILES = sorted(path for folder in PLACES for path in (ROOT / folder).rglob("*.py"))
FOLDERS = sorted({path.parent.name for path in FILES} - {"pellucid"})


def floor(folder: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if folder in names)


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file names, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("pellucid"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pellucid"):
            assert node.level == 0
            for alias in node.names:  # a module, or a name in one
                below = ROOT / Path(*f"{node.module}.{alias.name}".split(".")).with_suffix(".py")
                yield f"{node.module}.{alias.name}" if below.is_file() else str(node.module)


def test_every_folder_has_a_floor() -> None:
    assert set(FOLDERS) == set().union(*FLOORS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_only_go_down(folder: str) -> None:
    """A file imports from its own folder and from lower floors, never from a sibling or from above."""
    for path in (ROOT / "pellucid" / folder).rglob("*.py"):
        for module in imports(path):
            other = [*module.split("."), ""][1]
            assert other == folder or floor(other) < floor(folder), f"{path.relative_to(ROOT)} imports {module}"


def test_no_import_cycle() -> None:
    """Between files, imports inside functions included."""
    graph = {_module(path): {name for name in imports(path) if name != _module(path)} for path in FILES}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        if name != "pellucid":  # the public list names what is above it, lazily
            visit(name, ())


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    """At most 400 lines a file and 60 a function; each file opens with its docstring."""
    text = path.read_text(encoding="utf-8")
    parsed = ast.parse(text)
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(parsed) or not parsed.body
    for node in ast.walk(parsed):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - _docstring_lines(node)
            assert length <= 60, f"{node.name} has {length} lines"


def _docstring_lines(node: ast.FunctionDef) -> int:
    return len((ast.get_docstring(node) or "").splitlines())


def test_ninety_percent_of_functions_fit_thirty_lines() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[int(0.9 * len(lengths))] <= 30


def test_less_than_one_percent_of_the_lines_stand_twice() -> None:
    """Of the package's code: six lines in a row that stand elsewhere too. Signatures have to repeat what they implement."""
    window, places, total = 6, defaultdict[tuple[str, ...], list[tuple[Path, int]]](list), 0
    for path in FILES:
        code = _code(path)
        total += len(code)
        for first in range(len(code) - window + 1):
            places[tuple(code[first : first + window])].append((path, first))
    twice = {(path, first + line) for found in places.values() if len(found) > 1
             for path, first in found for line in range(window)}  # fmt: skip
    assert len(twice) < 0.01 * total, sorted({str(path.relative_to(ROOT)) for path, _ in twice})


def _code(path: Path) -> list[str]:
    """Lines of a file without imports, docstrings, comments, signatures and blank ones."""
    text, left_out = path.read_text(encoding="utf-8"), set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            left_out.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.FunctionDef):
            left_out.update(range(node.lineno, node.body[0].lineno))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [line for number, line in lines if line and number not in left_out and not line.startswith("#")]


def test_nothing_is_defined_in_vain() -> None:
    """Every function and class of the package is named a second time somewhere, or decorated, or called by Python."""
    texts = [path.read_text(encoding="utf-8") for path in ALL_FILES]
    named = Counter(word for text in texts for word in re.findall(r"\w+", text))
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.decorator_list:
                assert named[node.name] > 1 or node.name.startswith("__"), f"{path.relative_to(ROOT)}: {node.name}"


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """By the package, in pyproject's dependencies and extras; those that other libraries bring stand in `BROUGHT`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [
        text for name, texts in project["optional-dependencies"].items() if name not in ("dev", "docs") for text in texts
    ]
    declared = {re.split(r"[>=;\[ ]", text)[0].replace("-", "_") for text in (*project["dependencies"], *extras)}
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    known = {INSTALLED_AS.get(name.partition(".")[0], name.partition(".")[0]) for name in imported} - sys.stdlib_module_names
    assert known - {"pellucid"} <= declared | set(BROUGHT)
    whole = "\n".join(texts)
    as_imported = {distribution: module for module, distribution in INSTALLED_AS.items()}
    missing = {name for name in declared - set(PLUGGED_IN) if not re.search(rf"\b{as_imported.get(name, name)}\b", whole)}
    assert not missing


@pytest.mark.parametrize("folder", FOLDERS)
def test_exports_are_complete_and_load(folder: str) -> None:
    """`__all__` is what `dir` shows, in order, and each name in it is there."""
    package = import_module(f"pellucid.{folder}")
    names = getattr(package, "__all__", [])
    assert sorted(names) == sorted(set(names))
    for name in names:
        assert getattr(package, name) is not None


def test_public_list_loads() -> None:
    import pellucid

    assert set(pellucid.__all__) <= set(dir(pellucid))
    for name in dir(pellucid):
        assert getattr(pellucid, name) is not None
    with pytest.raises(AttributeError):
        pellucid.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_tree_in_the_readme_is_true(name: str) -> None:
    """`python docs/tree.py` would change nothing, and the tree is there."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        tree = import_module("tree")
    finally:
        sys.path.pop(0)
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "pellucid/" in tree.tree()
    assert tree.tree() in text
    assert tree.with_tree(text) == text


def test_nothing_names_this_machine() -> None:
    """No absolute path of a developer's machine stands in what is published."""
    for path in (*ALL_FILES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "records").rglob("*")):
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".json"):
            text = path.read_text(encoding="utf-8")
            assert not any(mark in text for mark in ("/home" + "/", "/wo" + "rk/", "/tmp/" + "bash")), path
