"""Notes as sound, by the program fluidsynth and a General MIDI soundfont."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import UserError
from pellucid.core.optional import optional

FONTS = (Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"), Path("/usr/share/soundfonts/FluidR3_GM.sf2"))
GAIN = 2.0


@dataclass(frozen=True, kw_only=True)
class Note:
    """A key that is held, times in seconds; `key` and `velocity` as in MIDI, 69 the A of 440 Hz."""

    key: int
    velocity: int
    start: float
    seconds: float


def render(notes: Sequence[Note], program: int, rate: int) -> NDArray[np.int16]:
    """Notes of one instrument, (T,) in 16 bits, dry: without reverberation and chorus.

    Arguments:
        program: the instrument's number in General MIDI, from 0.

    Raises:
        UserError: fluidsynth, the soundfont or a library is not there.
    """
    synthesiser, font = which("fluidsynth"), next((font for font in FONTS if font.is_file()), None)
    if synthesiser is None or font is None:
        raise UserError("Notes are rendered by fluidsynth with the soundfont FluidR3: apt-get install fluidsynth "
                        "fluid-soundfont-gm, and repeat this command")  # fmt: skip
    mido, soundfile = optional("mido", "A score", "music"), optional("soundfile", "Sound", "sound")
    with TemporaryDirectory() as folder:
        score, sound = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        _score(mido, notes, program).save(score)
        options = ["-ni", "-q", "-R", "0", "-C", "0", "-g", str(GAIN), "-r", str(rate), "-F", str(sound)]
        done = subprocess.run([synthesiser, *options, str(font), str(score)], capture_output=True, check=False)
        if done.returncode or not sound.is_file():
            raise UserError(f"fluidsynth failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
        heard, _ = soundfile.read(sound, dtype="int16", always_2d=True)
    return np.asarray(heard.astype(np.int32).sum(1) // 2, dtype=np.int16)


def _score(mido: Any, notes: Sequence[Note], program: int) -> Any:
    """A MIDI file whose tick is a millisecond."""
    events = [(note.start, 1, "note_on", note) for note in notes]
    events += [(note.start + note.seconds, 0, "note_off", note) for note in notes]
    file = mido.MidiFile(ticks_per_beat=500)  # a beat is half a second where nothing else is said
    track = mido.MidiTrack([mido.Message("program_change", program=program, time=0)])
    now = 0
    for at, _, kind, note in sorted(events, key=lambda event: event[:2]):
        tick = round(1000 * at)
        track.append(mido.Message(kind, note=note.key, velocity=note.velocity, time=tick - now))
        now = tick
    file.tracks.append(track)
    return file
