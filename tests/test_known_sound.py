"""Known data sets of sound: notes and melodies, as they are rendered and cut."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pellucid.core.errors import UnsupportedError, UserError
from pellucid.known import melodies, notes, rendered
from pellucid.known.rendered import Note, render
from pellucid.metrics.pitch import cents, pitch

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("mido")
SYNTHESISER = rendered.which("fluidsynth") is not None and any(font.is_file() for font in rendered.FONTS)


def tones(played: Sequence[Note], program: int, rate: int) -> np.ndarray:  # noqa: ARG001
    """In place of fluidsynth: a tone for each note, as loud as its velocity says."""
    whole = np.zeros(round(rate * (max(note.start + note.seconds for note in played) + 4)))
    for note in played:
        at = np.arange(round(rate * note.seconds))
        hertz = 440 * 2 ** ((note.key - 69) / 12)
        first = round(rate * note.start)
        whole[first : first + len(at)] += note.velocity * 200 * np.sin(2 * np.pi * hertz * at / rate)
    return whole.astype(np.int16)


@pytest.mark.skipif(not SYNTHESISER, reason="fluidsynth with FluidR3 is not installed")
def test_notes_are_rendered_in_tune() -> None:
    """A marimba's A4 and C5, where and as loud as they are asked for; dry, so that it is silent before and long after."""
    played = [Note(key=69, velocity=100, start=0.5, seconds=0.5), Note(key=72, velocity=60, start=3.0, seconds=0.5)]
    heard = render(played, 12, 16_000).astype(np.float64)
    parts = np.stack([heard[8000:16000], heard[48000:56000]])
    assert np.abs(cents(pitch(parts, 16_000), [440.0, 523.25])).max() < 15
    assert np.abs(parts[0]).max() > np.abs(parts[1]).max() > 500
    assert not heard[:7000].any()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "which", lambda _: None)
    with pytest.raises(UserError, match="apt-get install fluidsynth fluid-soundfont-gm"):
        render([], 0, 16_000)
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(UnsupportedError, match=r"needs music21: pip install 'pellucid\[music\]'"):
        next(melodies._chorales())


def test_every_note_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by instrument and pitch, a window long, in tune."""
    monkeypatch.setattr(notes, "VARIANTS", 2)
    monkeypatch.setattr(notes, "render", tones)
    notes.Notes().fetch(tmp_path / "notes", print)
    files = sorted((tmp_path / "notes").rglob("*.flac"))
    assert len(files) == 6 * 12 * 2
    sound, rate = soundfile.read(tmp_path / "notes" / "flute-A4" / "00.flac")
    assert (len(sound), rate) == (notes.LENGTH, notes.RATE)
    assert abs(cents(pitch(sound[None], rate), 440)[0]) < 3
    assert "Frank Wen" in (tmp_path / "notes" / "README.md").read_text()


def chorale(keys: Sequence[int], mode: str) -> Any:
    """As music21 has it: quarters, the last one of them held for four."""
    voice = [SimpleNamespace(isNote=True, pitch=SimpleNamespace(midi=key), offset=float(place), quarterLength=1.0)
             for place, key in enumerate(keys)]  # fmt: skip
    voice[-1].quarterLength = 4.0
    flat = SimpleNamespace(stripTies=lambda: SimpleNamespace(notes=voice))
    return SimpleNamespace(
        parts=[SimpleNamespace(flatten=lambda: flat)], analyze=lambda _: SimpleNamespace(mode=mode),
        metadata=SimpleNamespace(corpusFilePath=f"bach/{mode}.1.mxl", title=""),
    )  # fmt: skip


def test_melodies_are_cut_into_phrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight beats; what does not fill one is left out, and a note that is held beyond it ends with it."""
    scores = [chorale(range(60, 78), "major"), chorale([62] * 6, "minor")]
    library = SimpleNamespace(corpus=SimpleNamespace(chorales=SimpleNamespace(Iterator=lambda *_: iter(scores))))
    monkeypatch.setattr(melodies, "render", tones)
    monkeypatch.setattr(melodies, "optional", lambda name, *_: soundfile if name == "soundfile" else library)
    melodies.Melodies().fetch(tmp_path / "m", print)
    files = sorted(file.relative_to(tmp_path / "m").as_posix() for file in (tmp_path / "m").rglob("*.flac"))
    assert files == [f"sounds/{name}.flac" for name in ("major/major-1-00", "major/major-1-01", "minor/minor-1-00")]
    lines = (tmp_path / "m" / "notes.csv").read_text().splitlines()
    assert lines[1] == "sounds/major/major-1-00.flac,60,0,1"
    assert lines[9] == "sounds/major/major-1-01.flac,68,0,1"
    assert lines[-1] == "sounds/minor/minor-1-00.flac,62,5,3"  # held for four, of which three are in the phrase
    sound, rate = soundfile.read(tmp_path / "m" / files[1])
    assert len(sound) == melodies.LENGTH
    assert abs(cents(pitch(sound[None, : rate // 2], rate), 440 * 2 ** ((68 - 69) / 12))[0]) < 3
