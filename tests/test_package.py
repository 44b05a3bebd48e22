"""What is built for others to install: the wheel holds the package and its terms, the sdist all that makes it, no more."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDERS = ("benchmarks", "data", "docs", "examples", "pellucid", "records", "tests")
FILES = (
    "CHANGELOG.md", "LICENSE", "LOG.md", "MANIFEST.in", "Makefile", "README.md", "README.zh.md", "constraints.txt",
    "pyproject.toml", "requirements.lock",
)  # fmt: skip
RUBBISH = ("pellucid/core/x.pyc", "tests/.DS_Store", "runs/a/model.safetensors", ".venv/lib/x.py")
LARGE = 10**6
INFO = f"pellucid-{PROJECT['version']}.dist-info"
Contents = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Built:
    source: Contents
    sdist: Contents
    wheel: Contents
    direct: Contents
    """A wheel made without the sdist."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """From a copy of the sources beside things that do not belong to them; large files are short there, for speed."""
    home = tmp_path_factory.mktemp("package")
    for name in FILES:
        shutil.copy(ROOT / name, home)
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts and path.suffix != ".pyc":
            copy = home / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes() if path.stat().st_size < LARGE else str(path).encode())
    source = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for name in RUBBISH:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    build(home, "build_sdist", "build_wheel")
    sdist, direct = next(home.glob("dist/*.tar.gz")), next(home.glob("dist/*.whl"))
    with tarfile.open(sdist) as archive:
        archive.extractall(home / "unpacked", filter="data")
    build(home / "unpacked" / f"pellucid-{PROJECT['version']}", "build_wheel")
    wheel = next(home.glob("unpacked/*/dist/*.whl"))
    assert wheel.name == f"pellucid-{PROJECT['version']}-py3-none-any.whl"
    return Built(source=source, sdist=dict(unpacked(sdist)), wheel=dict(unpacked(wheel)), direct=dict(unpacked(direct)))


def build(folder: Path, *hooks: str) -> None:
    """By the hooks that installers call, offline."""
    program = "import sys; from setuptools import build_meta; [getattr(build_meta, hook)('dist') for hook in sys.argv[1:]]"
    command = [sys.executable, "-c", program, *hooks]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an archive, without the sdist's own folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield member.name.partition("/")[2], file.read()


def test_the_wheel_is_the_package(built: Built) -> None:
    """Every file of it, code, weights, recipes, page and types, and nothing but those and their terms."""
    package = {name: data for name, data in built.source.items() if name.startswith("pellucid/")}
    assert {name: data for name, data in built.wheel.items() if not name.startswith(INFO)} == package
    assert len([name for name in package if not name.endswith(".py")]) > 20
    assert "pellucid/py.typed" in package


def test_the_sdist_makes_the_same_wheel(built: Built) -> None:
    def body(wheel: Contents) -> Contents:
        return {name: data for name, data in wheel.items() if not name.endswith("/RECORD")}  # in whatever order

    assert body(built.wheel) == body(built.direct)


def test_the_sdist_is_the_source(built: Built) -> None:
    """With tests and their data; what setuptools adds tells of them."""
    added = {name for name in built.sdist if name not in built.source}
    assert all(name in ("PKG-INFO", "setup.cfg") or name.startswith("pellucid.egg-info/") for name in added), added
    assert {name: data for name, data in built.sdist.items() if name not in added} == built.source


def test_what_it_says_of_itself(built: Built) -> None:
    told = message_from_bytes(built.wheel[f"{INFO}/METADATA"])
    assert (told["Name"], told["Version"], told["Summary"]) == ("pellucid", PROJECT["version"], PROJECT["description"])
    assert (told["License-Expression"], told["Requires-Python"]) == ("Apache-2.0", PROJECT["requires-python"])
    assert told["Keywords"].split(",") == PROJECT["keywords"]
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    needed = {text.partition(">=")[0] for text in told.get_all("Requires-Dist", []) if "extra ==" not in text}
    assert needed == {text.partition(">=")[0] for text in PROJECT["dependencies"]}
    assert set(told.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    entry = built.wheel[f"{INFO}/entry_points.txt"].decode()
    assert entry.split() == ["[console_scripts]", "pellucid", "=", "pellucid.cli:main"]


def test_terms_come_along(built: Built) -> None:
    """The licence, and terms and credit of the data that the weights were learned from."""
    there = {name.removeprefix(f"{INFO}/licenses/") for name in built.wheel if name.startswith(f"{INFO}/licenses/")}
    data = {name for name in built.source if name.startswith("data/") and Path(name).name in ("LICENSE", "README.md")}
    assert there == {"LICENSE", *data}
    told = message_from_bytes(built.wheel[f"{INFO}/METADATA"])
    assert set(told.get_all("License-File", [])) == there


def test_the_version_has_its_changes() -> None:
    """In CHANGELOG.md, under a heading with its date."""
    assert f"\n## [{PROJECT['version']}] - 20" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_lock_has_every_pin_with_its_hashes() -> None:
    """`make lock` wrote it, from these constraints and for every extra."""
    locked = dict[str, str]()
    for entry in (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        found = re.fullmatch(r"([a-z0-9.-]+)==([^ ]+)(?: ; .*?)?(?: +--hash=sha256:[0-9a-f]{64})+", entry)
        assert found, entry
        locked[found[1]] = found[2]
    pins = [line.partition("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    assert {named(name): version for name, _, version in pins}.items() <= locked.items()
    wanted = [*PROJECT["dependencies"], *(text for texts in PROJECT["optional-dependencies"].values() for text in texts)]
    assert {named(text) for text in wanted} - {"pellucid"} <= set(locked)


def named(requirement: str) -> str:
    """Of a requirement, as indexes write it."""
    return re.sub("[-_.]+", "-", re.split(r"[\[>=<;~! ]", requirement)[0]).lower()
