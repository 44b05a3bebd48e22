"""Single notes of six instruments, rendered by fluidsynth."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from pellucid.core.optional import optional
from pellucid.known.recipe import Progress, Recipe
from pellucid.known.rendered import Note, render

INSTRUMENTS = {"piano": 0, "marimba": 12, "guitar": 24, "violin": 40, "trumpet": 56, "flute": 73}
"""Numbers in General MIDI, from 0."""
KEYS = {name: 60 + place for place, name in enumerate(("C4", "C#4", "D4", "D#4", "E4", "F4", "F#4", "G4", "G#4", "A4", "A#4",
                                                       "B4"))}  # fmt: skip
VARIANTS, SEED = 24, 0
RATE, LENGTH = 16_000, 16_384
LOUDNESS, SECONDS, LATEST = (45, 120), (0.25, 0.9), 0.03
"""Ranges of velocity and of how long a key is held, and the latest start of a note in its file."""
APART = 3.0
"""Seconds from note to note while they are rendered."""


class Notes(Recipe):
    """A FLAC file of 1.02 s at 16 kHz for each note, in folders named by instrument and pitch, 24 of each with random
    loudness, duration and start.
    """

    title: ClassVar[str] = "Notes of six instruments over an octave, 1,728 sounds of a second"
    origin: ClassVar[str] = "https://packages.debian.org/fluid-soundfont-gm"
    credit: ClassVar[str] = (
        "The soundfont Fluid (R3) by Frank Wen and others, as packaged by Toby Smithe for Debian; rendered with fluidsynth."
    )
    licence: ClassVar[str] = (
        "The soundfont is under the MIT licence, <https://opensource.org/license/mit>: copyright 2000-2002, 2008 Frank Wen, "
        "2008 Toby Smithe."
    )

    def write(self, folder: Path, progress: Progress) -> None:
        soundfile = optional("soundfile", "Sound", "sound")
        rng, done = np.random.default_rng(SEED), 0
        for instrument, program in INSTRUMENTS.items():
            names = [(name, variant) for name in KEYS for variant in range(VARIANTS)]
            notes = [
                Note(
                    key=KEYS[name], velocity=int(rng.integers(*LOUDNESS)), seconds=float(rng.uniform(*SECONDS)),
                    start=APART * place + float(rng.uniform(0, LATEST)),
                )
                for place, (name, _) in enumerate(names)
            ]  # fmt: skip
            heard = render(notes, program, RATE)
            for place, (name, variant) in enumerate(names):
                file = folder / f"{instrument}-{name}" / f"{variant:02d}.flac"
                file.parent.mkdir(exist_ok=True)
                start = round(APART * place * RATE)
                soundfile.write(file, heard[start : start + LENGTH], RATE)
            done += len(names)
            progress(done, len(INSTRUMENTS) * len(KEYS) * VARIANTS)
