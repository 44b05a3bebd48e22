"""Fourteen sets of small pictures that have little in common, from packages of Debian, Python and this repository."""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from pellucid.core.items import Item
from pellucid.core.optional import optional
from pellucid.known.patches import patches
from pellucid.known.wallpapers import WALLPAPERS
from pellucid.modalities.image import Image as ImageModality

Pictures = NDArray[np.uint8]
DATA = Path(__file__).parents[2] / "data"
FONTS = Path("/usr/share/fonts/truetype")
GLYPHS = 6000
DRAWN = ("Altai", "Autumn", "Canopee", "Cascade", "Cluster", "Elarun", "Flow", "Honeywave", "IceCold", "Kay", "Kokkini",
         "MilkyWay", "Opal", "PastelHills", "Patak", "SafeLanding", "Shell", "Volna")  # fmt: skip
"""Wallpapers of Plasma that are no photographs."""


def debian(package: str) -> Iterator[Path]:
    """The package's files in a temporary folder, once."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
        for file in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", file.name, "."], cwd=folder, check=True)
        yield folder / "usr" / "share"


def icons(package: str, side: int, *within: str) -> Callable[[], Pictures]:
    """Of an icon theme: files under folders whose path has one of `within`, on white, without those that are equal."""

    def make() -> Pictures:
        for share in debian(package):
            files = sorted(file for file in share.rglob("*.png") if file.is_file() and not file.is_symlink()
                           and any(part in file.as_posix() for part in within))  # fmt: skip
            return np.unique(np.stack([on_white(file, side) for file in files]), axis=0)
        raise AssertionError

    return make


def on_white(file: Path, side: int) -> Pictures:
    with Image.open(file) as opened:
        picture = opened.convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))


def glyphs(fonts: Iterable[str], letters: Iterable[int], side: int) -> Callable[[], Pictures]:
    def make() -> Pictures:
        drawn = list[Pictures]()
        for place in fonts:
            font = ImageFont.truetype(str(FONTS / place), side * 3 // 4)
            for letter in letters:
                picture = Image.new("L", (side, side), 255)
                ImageDraw.Draw(picture).text((side / 2, side / 2), chr(letter), fill=0, font=font, anchor="mm")
                drawn.append(np.asarray(picture)[..., None])
        found = np.unique(np.stack(drawn), axis=0)
        return found[np.random.default_rng(0).permutation(len(found))[:GLYPHS]]

    return make


def windows(files: Callable[[], Iterable[Path]], side: int) -> Callable[[], Pictures]:
    def make() -> Pictures:
        parts = [patch for number, file in enumerate(files()) for patch in patches(file, number)]
        return np.stack([np.asarray(part.resize((side, side), Image.Resampling.LANCZOS)) for part in parts])

    return make


def photographs() -> Iterator[Path]:
    for package in dict.fromkeys(wallpaper.package for wallpaper in WALLPAPERS):
        for share in debian(package):
            yield from (share / one.file for one in WALLPAPERS if one.package == package and one.part == "train")


def drawn() -> Iterator[Path]:
    for share in debian("plasma-workspace-wallpapers"):
        for name in DRAWN:
            yield from sorted((share / "wallpapers" / name).rglob("2560x1600.*"))[:1]


def here(name: str, side: int) -> Callable[[], Pictures]:
    """Of this repository."""

    def make() -> Pictures:
        items = ImageModality().read(DATA / name, size=side, channels=None, labels=False)
        return np.stack([np.moveaxis(item.data, 0, -1) for item in items if isinstance(item, Item)])

    return make


def sonograms() -> Pictures:
    """Of spoken English: 32 bands by 32 frames, in decibels above -80."""
    soundfile, parts = optional("soundfile", "Sound", "sound"), list[Pictures]()
    for share in debian("asterisk-core-sounds-en-wav"):
        for file in sorted(share.rglob("*.wav")):
            sound, _ = soundfile.read(file, dtype="float32")
            frames = np.lib.stride_tricks.sliding_window_view(sound, 512)[::128] * np.hanning(512)
            bands = (np.abs(np.fft.rfft(frames))[:, :256] ** 2).reshape(len(frames), 32, 8).mean(2)
            seen = np.clip(255 + 10 / 80 * 255 * np.log10(bands / 512 + 1e-12), 0, 255).astype(np.uint8)
            parts += [seen[start : start + 32].T[::-1, :, None] for start in range(0, len(seen) - 31, 64)]
    return np.stack(parts)


def digits() -> Pictures:
    return np.asarray(load_digits().images[..., None] * 15.9, dtype=np.uint8)


FITTED: dict[str, Callable[[], Pictures]] = {
    "digits": digits,
    "letters": glyphs(["dejavu/DejaVuSans.ttf", "dejavu/DejaVuSerif-Bold.ttf", "liberation/LiberationMono-Italic.ttf"],
                      [*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC0, 0x250), *range(0x391, 0x530)], 24),
    "fashion": here("fashion-mnist", 28),
    "emoji": here("emoji", 32),
    "photographs": windows(photographs, 32),
    "faenza": icons("faenza-icon-theme", 32, "Faenza/apps/48", "Faenza/actions/48", "Faenza/mimetypes/48"),
    "gnome": icons("gnome-icon-theme", 32, "gnome/32x32"),
    "oxygen": icons("oxygen-icon-theme", 32, "base/32x32"),
    "tango": icons("tango-icon-theme", 32, "32x32"),
}  # fmt: skip
"""By which the law is found."""
CHECKED: dict[str, Callable[[], Pictures]] = {
    "moka": icons("moka-icon-theme", 48, "Moka/48x48/"),
    "nuovext": icons("lxde-icon-theme", 32, "32x32", "48x48"),
    "elementary": icons("elementary-xfce-icon-theme", 32, "/32/", "/48/"),
    "chinese": glyphs(["wqy/wqy-microhei.ttc"], range(0x4E00, 0x9FA0, 3), 28),
    "wallpapers": windows(drawn, 32),
    "speech": sonograms,
}
"""On which it is tried."""


def write(folder: Path, sets: dict[str, Callable[[], Pictures]]) -> None:
    """Each as FOLDER/NAME.npy, of those that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in sets.items():
        if not (folder / f"{name}.npy").is_file():
            np.save(folder / f"{name}.npy", make())
