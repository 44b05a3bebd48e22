"""Patches of photographs: windows are where and as large as promised, flat ones and doubles left out, credit is given."""

import os
import re
from itertools import combinations
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from pellucid.core.errors import UserError
from pellucid.known import photographs
from pellucid.known.patches import FLAT, OVERLAP, SIDE, WINDOW, patches
from pellucid.known.photographs import Photographs
from pellucid.known.wallpapers import HELD_OUT, LGPL, TRAIN, WALLPAPERS
from picture_files import Bytes, read, save

HEIGHT, WIDTH = 384, 576
SOME = tuple(wallpaper for wallpaper in WALLPAPERS if wallpaper.name in ("ColdRipple", "Wine_by_Jakkub_Mede", "Wood"))


def ramps() -> Bytes:
    """Red says how far to the right a pixel is, green how far down; blue is a draughtboard."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    board = 255 * ((x // 24 + y // 24) % 2)
    return np.stack([255 * x / WIDTH, 255 * y / HEIGHT, board], axis=2).round().astype(np.uint8)


def windows(found: list[Image.Image]) -> np.ndarray:
    """Left, top, right, bottom of patches of `ramps`, read from their colours."""
    middle = (np.arange(SIDE) + 0.5) / SIDE
    ends = []
    for channel, length, mean in ((0, WIDTH, 0), (1, HEIGHT, 1)):
        lines = [np.asarray(patch, dtype=float)[..., channel].mean(axis=mean) for patch in found]
        slope, start = np.polyfit(middle[2:-2], np.stack(lines)[:, 2:-2].T, 1) * length / 255
        ends.append((start + 0.5, start + slope + 0.5))  # a pixel's colour is that of its left edge
    (left, right), (top, bottom) = ends
    return np.stack([left, top, right, bottom], axis=1)


def test_windows_are_where_they_should_be(tmp_path: Path) -> None:
    found = list(patches(save(tmp_path / "ramps.png", ramps()), 3))
    assert len(found) == 200
    assert {(patch.size, patch.mode) for patch in found} == {((SIDE, SIDE), "RGB")}
    boxes = windows(found)
    assert (boxes > -1).all()
    assert (boxes < [WIDTH + 1, HEIGHT + 1] * 2).all()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert np.abs(sides[:, 0] - sides[:, 1]).max() < 2
    assert sides.min() > HEIGHT * WINDOW[0] - 1.5
    assert sides.max() < HEIGHT * WINDOW[1] + 1.5
    for one, other in combinations(boxes, 2):
        shared = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
        areas = [np.prod(box[2:] - box[:2]) for box in (one, other)]
        assert shared / (sum(areas) - shared) < OVERLAP + 0.03


def test_a_number_is_a_key(tmp_path: Path) -> None:
    file = save(tmp_path / "ramps.png", ramps())
    first, again, other = ([patch.tobytes() for patch in patches(file, number)] for number in (3, 3, 4))
    assert first == again
    assert not set(first) & set(other)
    assert len(set(first)) == len(first)


def test_flat_windows_are_passed_over(tmp_path: Path) -> None:
    """A gradient in two directions shows nothing; where half a photograph is one, no patch lies in that half alone."""
    values = ramps()
    values[..., 2] = 0
    assert list(patches(save(tmp_path / "sky.png", values), 0)) == []
    values[:, WIDTH // 2 :] = ramps()[:, WIDTH // 2 :]
    found = list(patches(save(tmp_path / "half.png", values), 0))
    assert len(found) > 50
    assert all(np.asarray(patch)[..., 2].max() > FLAT for patch in found)


def test_sideways_photographs_are_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = save(tmp_path / "turned.png", np.rot90(ramps()).copy(), exif=exif)
    upright = save(tmp_path / "upright.png", ramps())
    pairs = list(zip(patches(turned, 1), patches(upright, 1), strict=True))
    assert all(one.tobytes() == other.tobytes() for one, other in pairs)


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three photographs, one of them held out, as their packages would install them, in the place of /usr/share."""
    folder = tmp_path / "share"
    for wallpaper in SOME:
        save(folder / wallpaper.file, ramps()[: 200 + len(wallpaper.name)])
        doc = folder / "doc" / wallpaper.package / "copyright"
        doc.parent.mkdir(parents=True)
        doc.write_text(f"Copyright: {wallpaper.author}\n")
    monkeypatch.setattr(photographs, "WALLPAPERS", SOME)
    monkeypatch.setattr(photographs, "PACKAGES", tuple(wallpaper.package for wallpaper in SOME))
    monkeypatch.setattr(photographs, "SHARE", folder)
    monkeypatch.setattr("pellucid.known.patches.COUNT", 20)
    return folder


def fetched(folder: Path) -> dict[str, bytes]:
    Photographs().fetch(folder, lambda *_: None)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_whole_photographs_are_held_out(share: Path, tmp_path: Path) -> None:  # noqa: ARG001
    files = fetched(tmp_path / "out")
    for part in (TRAIN, HELD_OUT):
        items, rejections, _ = read(tmp_path / "out" / part)
        assert {item.data.shape for item in items} == {(3, SIDE, SIDE)}
        assert {item.label for item in items} == {None}
        assert rejections == []
        of = {item.source.rpartition("-")[0] for item in items}
        assert of == {wallpaper.name for wallpaper in SOME if wallpaper.part == part}
    about = files["README.md"].decode()
    for wallpaper in WALLPAPERS:
        assert f"| {wallpaper.name} | {wallpaper.author} | {wallpaper.licence} | {wallpaper.package} |" in about
    for wallpaper in SOME:
        assert files[f"copyright/{wallpaper.package}.txt"].decode() == f"Copyright: {wallpaper.author}\n"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_packages_that_are_not_installed_are_downloaded(
    share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By apt-get and dpkg, of which these two behave as those do; the patches are the same."""
    installed = fetched(tmp_path / "installed")
    copytree(share, tmp_path / "debian" / "usr" / "share")
    monkeypatch.setattr(photographs, "SHARE", tmp_path / "nothing")
    script(tmp_path / "bin" / "apt-get", '[ "$1" = download ] && shift && for name; do touch "${name}_1_all.deb"; done')
    script(tmp_path / "bin" / "dpkg", f'[ "$1" = -x ] && cp -r "{tmp_path}/debian/usr" "$3"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert fetched(tmp_path / "downloaded") == installed
    (tmp_path / "debian" / "usr" / "share" / SOME[0].file).unlink()
    with pytest.raises(UserError, match=f"other pictures: it lacks 1 of {SOME[0].package}"):
        fetched(tmp_path / "lacking")


@pytest.mark.parametrize(
    ("apt", "reason"),
    [("", "there is no apt-get here"), ("echo 'W: no\nE: Unable to locate package x' >&2; exit 100", "Unable to locate")],
)
def test_without_packages_there_is_one_message(
    share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt: str, reason: str
) -> None:
    (share / SOME[1].file).unlink()
    (tmp_path / "bin").mkdir()
    if apt:
        script(tmp_path / "bin" / "apt-get", apt)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match=reason) as caught:
        fetched(tmp_path / "out")
    assert all(wallpaper.package in str(caught.value) for wallpaper in SOME)
    assert not (tmp_path / "out").exists()


def test_credit_is_that_of_the_packages() -> None:
    """Where they are installed: authors and licences as the copyright files have them, of KDE's as the metadata has them."""
    if any(not (photographs.SHARE / wallpaper.file).is_file() for wallpaper in WALLPAPERS):
        pytest.skip("the packages are not installed")
    for wallpaper in WALLPAPERS:
        if wallpaper.licence == LGPL:
            folder = photographs.SHARE / wallpaper.file.parents[2]
            told = (folder / "metadata.json").read_text()
            licence = "LGPLv3"
        else:
            told = (photographs.SHARE / "doc" / wallpaper.package / "copyright").read_text()
            told = next(part for part in told.split("\n\n") if re.search(rf"/{wallpaper.name}\.jpg\n", part))
            licence = wallpaper.licence.replace("GPL-2.0-or-later", "GPL-2+")
        assert licence in told, wallpaper
        assert all(name in told for name in wallpaper.author.split(", ")), wallpaper
