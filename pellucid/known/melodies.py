"""Melodies of Bach's chorales, rendered by fluidsynth."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pellucid.core.optional import optional
from pellucid.known.recipe import Progress, Recipe
from pellucid.known.rendered import Note, render

COUNT = 200
"""Chorales, in the order of Riemenschneider's edition."""
PART = "sounds"
BEATS, BEAT = 8, 0.512
"""Of a phrase that is one sound, and the seconds of each: 4.1 s."""
RATE, LENGTH = 16_000, 65_536
PROGRAM, VELOCITY, APART = 0, 80, 6.0
"""The piano of General MIDI, and the seconds from phrase to phrase while they are rendered."""


class Melodies(Recipe):
    """A FLAC file of 4.1 s at 16 kHz for each phrase of eight beats of a chorale's highest voice, on the piano, in
    sounds/major and sounds/minor by the chorale's key, and notes.csv with its notes: file, key as in MIDI, start and length
    in beats.
    """

    title: ClassVar[str] = "Melodies of 200 chorales of Johann Sebastian Bach, sounds of four seconds for eight beats"
    origin: ClassVar[str] = "https://github.com/cuthbertLab/music21"
    credit: ClassVar[str] = (
        "The chorales as encoded in the corpus of music21 (Michael Scott Asato Cuthbert and others); the soundfont Fluid "
        "(R3) by Frank Wen and others; rendered with fluidsynth."
    )
    licence: ClassVar[str] = (
        "The works are in the public domain; music21 is under the BSD licence, "
        "<https://opensource.org/license/bsd-3-clause>, the soundfont under the MIT licence, "
        "<https://opensource.org/license/mit>."
    )

    part: ClassVar[str] = PART

    def write(self, folder: Path, progress: Progress) -> None:
        soundfile, lines = optional("soundfile", "Sound", "sound"), ["file,key,start,length"]
        for mode in ("major", "minor"):
            (folder / PART / mode).mkdir(parents=True)
        for number, (name, mode, phrases) in enumerate(_chorales(), 1):
            notes = [
                Note(key=key, velocity=VELOCITY, start=APART * place + BEAT * start, seconds=BEAT * length)
                for place, phrase in enumerate(phrases) for key, start, length in phrase
            ]  # fmt: skip
            heard = render(notes, PROGRAM, RATE) if notes else None
            for place, phrase in enumerate(phrases):
                assert heard is not None
                file, start = f"{PART}/{mode}/{name}-{place:02d}.flac", round(APART * place * RATE)
                soundfile.write(folder / file, heard[start : start + LENGTH], RATE)
                lines += [f"{file},{key},{at:g},{length:g}" for key, at, length in phrase]
            progress(number, COUNT)
        (folder / "notes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _chorales() -> Iterator[tuple[str, str, list[list[tuple[int, float, float]]]]]:
    """Name, mode and phrases of each: notes as key, start and length in beats from the phrase's beginning."""
    music = optional("music21", "A corpus of melodies", "music")
    for score in music.corpus.chorales.Iterator(1, COUNT):
        voice = score.parts[0].flatten().stripTies()
        name = Path(str(score.metadata.corpusFilePath or score.metadata.title)).stem.replace(".", "-")
        yield name, str(score.analyze("key").mode), _phrases(voice)


def _phrases(voice: Any) -> list[list[tuple[int, float, float]]]:
    """Whole phrases only; a note that is held beyond the end of one ends there."""
    notes = [(int(note.pitch.midi), float(note.offset), float(note.quarterLength)) for note in voice.notes if note.isNote]
    count = int(max((start + length for _, start, length in notes), default=0.0) // BEATS)
    found = []
    for place in range(count):
        first, last = BEATS * place, BEATS * (place + 1)
        found.append([
            (key, start - first, min(length, last - start)) for key, start, length in notes if first <= start < last
        ])  # fmt: skip
    return [phrase for phrase in found if phrase]
