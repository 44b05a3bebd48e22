"""Patches of photographs, 64 x 64 in colour, cut from the wallpapers of four Debian packages."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.known.patches import patches
from pellucid.known.recipe import Progress, Recipe
from pellucid.known.wallpapers import HELD_OUT, TRAIN, WALLPAPERS

SHARE = Path("/usr/share")
PACKAGES = tuple(dict.fromkeys(wallpaper.package for wallpaper in WALLPAPERS))
COPYRIGHT = "copyright"  # folder for the packages' own files


def _credits() -> str:
    """A row for each photograph."""
    rows = (
        f"| {wallpaper.name} | {wallpaper.author} | {wallpaper.licence} | {wallpaper.package} | {wallpaper.part} |"
        for wallpaper in WALLPAPERS
    )
    return "\n".join(("| photograph | author | licence | package | part |", "| --- | --- | --- | --- | --- |", *rows))


class Photographs(Recipe):
    """Patches as PNG files, each named after its photograph.

    `train/` has those of 31 photographs, `held-out/` those of six others, of which training must see nothing if what it
    learnt is measured on them. `patches` has the rules. The pictures are those installed, else those of the packages as
    `apt-get` downloads them, which needs no rights and installs nothing.
    """

    title: ClassVar[str] = "Photographs: patches of 64 x 64 pixels in colour, from 37 wallpapers of Debian"
    origin: ClassVar[str] = "https://packages.debian.org/"
    credit: ClassVar[str] = (
        f"{len({wallpaper.author for wallpaper in WALLPAPERS})} photographers and groups, each named in README.md; "
        "scaled and cut into patches, otherwise as in Debian's packages. What is in held-out/ comes from other "
        "photographs than what is in train/, and is for measuring only."
    )
    licence: ClassVar[str] = (
        f"Free licences (Creative Commons, GPL, LGPL), one for each photograph\n\n{_credits()}\n\n"
        f"The packages' own copyright files are in {COPYRIGHT}/."
    )
    part: ClassVar[str] = TRAIN

    def write(self, folder: Path, progress: Progress) -> None:
        for name in (TRAIN, HELD_OUT, COPYRIGHT):
            (folder / name).mkdir()
        with _found() as share:
            for number, wallpaper in enumerate(WALLPAPERS):
                for index, patch in enumerate(patches(share / wallpaper.file, number)):
                    patch.save(folder / wallpaper.part / f"{wallpaper.name}-{index:03d}.png")
                progress(number + 1, len(WALLPAPERS))
            for package in PACKAGES:
                copyfile(share / "doc" / package / "copyright", folder / COPYRIGHT / f"{package}.txt")


@contextmanager
def _found() -> Iterator[Path]:
    """What stands for /usr/share: itself, or a temporary folder with the same of the packages alone.

    Raises:
        UserError: the packages cannot be had, or have not all of the photographs.
    """
    if not _missing(SHARE):
        yield SHARE
        return
    with TemporaryDirectory() as folder:
        _download(Path(folder))
        share = Path(folder) / "usr" / "share"
        if missing := _missing(share):
            lacks = ", ".join(f"{count} of {package}" for package, count in missing.items())
            raise _unreachable(f"what was downloaded has other pictures: it lacks {lacks}")
        yield share


def _missing(share: Path) -> Counter[str]:
    """Packages that lack photographs, and how many."""
    return Counter(wallpaper.package for wallpaper in WALLPAPERS if not (share / wallpaper.file).is_file())


def _download(folder: Path) -> None:
    """Fetch the packages into a folder and unpack them there."""
    try:
        _run(folder, "apt-get", "download", *PACKAGES)
        for package in sorted(folder.glob("*.deb")):
            _run(folder, "dpkg", "-x", package.name, ".")
    except FileNotFoundError as error:
        raise _unreachable(f"there is no {error.filename} here") from None


def _run(folder: Path, *command: str) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        told = [line for line in ended.stderr.splitlines() if line.startswith("E:")] or ended.stderr.splitlines()
        raise _unreachable(f"{command[0]}: {told[0].removeprefix('E:').strip() if told else 'failed'}")


def _unreachable(reason: str) -> UserError:
    return UserError(
        f"The photographs are those of Debian's packages {', '.join(PACKAGES)}, which are not all installed and cannot be "
        f"downloaded ({reason}). On Debian or Ubuntu: sudo apt-get update, sudo apt-get install {' '.join(PACKAGES)}, and "
        "repeat this command; elsewhere train on any folder of photographs"
    )
