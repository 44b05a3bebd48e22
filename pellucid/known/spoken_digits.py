"""Handwritten digits, each with its name written and spoken: samples of three parts."""

import subprocess
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.core.errors import UserError
from pellucid.core.optional import optional
from pellucid.known.digits import Digits, digits
from pellucid.known.recipe import Progress, Recipe

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LANGUAGES = ("en-us", "en-gb", "en-gb-scotland")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
PITCH, PACE = (35, 65), (150, 190)
"""Ranges, of espeak-ng's scale from 0 to 99 and in words a minute."""
RATE, LENGTH, LATEST, LOUD = 8_000, 6_144, 400, 0.7
"""In Hz; of each sound in samples; its latest start; its peak."""
SILENT = 0.01
TIMES, TEST, SEED = 3, 6, 0
"""How often each picture is spoken; every TESTth picture is for tests."""


class SpokenDigits(Recipe):
    """train/0001-0.png, .wav and .txt, and so on: each of 1,797 digits three times, by voices drawn at random; a sixth of
    the digits lie in test/.
    """

    title: ClassVar[str] = "Digits written by hand, by name and spoken: 5,391 times a picture, a text and a sound"
    origin: ClassVar[str] = Digits.origin
    credit: ClassVar[str] = (
        f"{Digits.credit} Spoken by eSpeak NG, <https://github.com/espeak-ng/espeak-ng>, by Jonathan Duddington, Reece H. "
        "Dunn and others, in 36 of its voices."
    )
    licence: ClassVar[str] = (
        f"Pictures: {Digits.licence}. What eSpeak NG, a program under the GPL 3, speaks is not under that licence; the "
        "sounds are put in the public domain (CC0) with this set."
    )
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        soundfile = optional("soundfile", "Sound", "sound")
        rng, (pictures, numbers) = np.random.default_rng(SEED), digits()
        for index, (picture, digit) in enumerate(zip(pictures, numbers, strict=True)):
            place = folder / ("train" if index % TEST else "test")
            place.mkdir(exist_ok=True)
            for time in range(TIMES):
                name = f"{index:04d}-{time}"
                voice = f"{rng.choice(LANGUAGES)}+{rng.choice(VARIANTS)}"
                wave = _spoken(NAMES[digit], voice, int(rng.integers(*PITCH)), int(rng.integers(*PACE)))
                start = int(rng.integers(LATEST))
                held = np.zeros(LENGTH, np.float32)
                held[start : start + len(wave)] = wave[: LENGTH - start]
                Image.fromarray(picture).save(place / f"{name}.png")
                soundfile.write(place / f"{name}.wav", held, RATE)
                (place / f"{name}.txt").write_text(NAMES[digit] + "\n", encoding="utf-8")
            progress(index + 1, len(pictures))


def _spoken(word: str, voice: str, pitch: int, pace: int) -> NDArray[np.float32]:
    """A word without the silence around it, at RATE.

    Raises:
        UserError: espeak-ng is not there, or fails.
    """
    soundfile, soxr = optional("soundfile", "Sound", "sound"), optional("soxr", "Sound of another rate", "sound")
    program = which("espeak-ng")
    if program is None:
        raise UserError("Words are spoken by espeak-ng: apt-get install espeak-ng, and repeat this command")
    asked = [program, "-v", voice, "-p", str(pitch), "-s", str(pace), "--stdout", word]
    done = subprocess.run(asked, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise UserError(f"espeak-ng failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
    wave, rate = soundfile.read(BytesIO(done.stdout), dtype="float32")
    found = np.asarray(soxr.resample(wave, rate, RATE), dtype=np.float32)
    heard = np.flatnonzero(np.abs(found) > SILENT * np.abs(found).max())
    kept = found[heard[0] : heard[-1] + 1]
    return np.asarray(kept * (LOUD / np.abs(kept).max()), dtype=np.float32)
