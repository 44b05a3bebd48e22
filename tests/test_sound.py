"""Sound: every way in, what is refused and in which words, the spectrogram and its inverse, and every way out."""

import json
import time
import wave
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from pellucid.codecs.loudness import Loudness
from pellucid.codecs.spectrogram import Spectrogram
from pellucid.core.errors import ConfigError, DataError, UnsupportedError, UserError
from pellucid.core.items import Item, Origin, Rejection
from pellucid.metrics.pitch import cents, pitch
from pellucid.modalities.aligned import sound_of
from pellucid.modalities.parts import Sound as Part
from pellucid.modalities.sonogram import BANDS, loudness, mel_bands
from pellucid.modalities.sound import Sound
from pellucid.modalities.sounds import BLOCK, as_stored, waves
from pellucid.sources.entry import Entry
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import kind_of, prepare

soundfile = pytest.importorskip("soundfile")
soxr = pytest.importorskip("soxr")

RATE = 8000


def tone(hertz: float, seconds: float, rate: int = RATE, size: float = 0.5) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def save(path: Path, sound: np.ndarray, rate: int = RATE, **settings: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, **settings)
    return path


def read(path: Path, sound: Sound | None = None, **settings: int) -> tuple[list[Item], list[Rejection], str]:
    records = list((sound or Sound()).read(path, **settings))
    notes = "; ".join(dict.fromkeys(note for one in records if isinstance(one, Origin) for note in one.notes))
    return [one for one in records if isinstance(one, Item)], [one for one in records if isinstance(one, Rejection)], notes


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".aiff", ".mp3"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    """What loses nothing comes back to the bit, what loses a little near to it."""
    stored = as_stored(tone(440, 0.2)[None])
    save(tmp_path / f"a{suffix}", stored[0])
    items, rejected, notes = read(tmp_path, size=1600)
    assert not rejected
    assert notes.startswith("sounds are 1,600 samples at 8,000 Hz, 0.20 s, mono")
    if suffix in (".wav", ".flac", ".aiff"):
        np.testing.assert_array_equal(items[0].data, stored)
    else:
        assert abs(np.corrcoef(items[0].data[0], stored[0])[0, 1]) > 0.9


def test_windows_labels_and_captions(tmp_path: Path) -> None:
    """One after the other; a rest of half a window or more is filled with silence, and so is a sound that is shorter."""
    for name, length in (("a/long.wav", 2 * 512 + 300), ("a/rest.wav", 512 + 200), ("b/short.wav", 100)):
        save(tmp_path / name, np.full(length, 0.25))
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "b/short.wav", "text": "a click"}))
    items, rejected, notes = read(tmp_path, size=512)
    assert not rejected
    assert [(item.source, item.label, int((item.data != 0).sum())) for item in items] == [
        ("a/long.wav#1", "a", 512), ("a/long.wav#2", "a", 512), ("a/long.wav#3", "a", 300), ("a/rest.wav#1", "a", 512),
        ("b/short.wav#1", "b", 100),
    ]  # fmt: skip
    assert items[-1].captions == ("a click",)
    assert notes == "sounds are 512 samples at 8,000 Hz, 0.06 s, mono; shorter ones end in silence"
    assert {item.data.dtype for item in items} == {np.dtype(np.int16)}


def test_rates_and_channels_are_brought_together(tmp_path: Path) -> None:
    """440 Hz stay 440 Hz whatever the rate; stereo is mixed to mono unless two channels are asked for."""
    save(tmp_path / "a.wav", tone(440, 1))
    save(tmp_path / "b.wav", tone(440, 1))
    save(tmp_path / "c.wav", tone(440, 1, 44100), 44100)
    save(tmp_path / "d.flac", np.stack([tone(440, 1), np.zeros(RATE)], 1))
    items, _, notes = read(tmp_path)
    assert "1 of another rate are resampled; 1 of more channels are mixed down (data.channels=2 keeps stereo)" in notes
    assert {item.data.shape for item in items} == {(1, 8192)}
    for item, size in zip(items, (0.5, 0.5, 0.5, 0.25), strict=True):
        heard = item.data[0, 1000:7000] / 32768
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert abs(spectrum.argmax() * RATE / len(heard) - 440) < 2
        assert np.abs(heard).max() == pytest.approx(size, rel=0.02)
    both, _, _ = read(tmp_path, channels=2)
    assert {item.data.shape for item in both} == {(2, 8192)}
    assert not both[3].data[1].any()
    np.testing.assert_array_equal(both[0].data[0], both[0].data[1])


def test_archives_and_a_single_file(tmp_path: Path) -> None:
    save(tmp_path / "x" / "one.wav", tone(300, 0.1))
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("set/up/1.wav", "set/down/2.wav"):
            archive.write(tmp_path / "x" / "one.wav", name)
    assert [item.label for item in read(tmp_path / "all.zip")[0]] == ["down", "up"]
    assert len(read(tmp_path / "x" / "one.wav")[0]) == 1
    sound = Sound()
    assert sound.recognises(tmp_path / "x")
    assert sound.recognises(tmp_path / "x" / "one.wav")
    assert not sound.recognises(tmp_path / "all.zip")  # could hold anything: modality.name = sound says what


def test_a_rate_that_was_asked_for_is_the_models(tmp_path: Path) -> None:
    """The data decides nothing against what was asked for, and both together make the modality."""
    save(tmp_path / "sounds" / "a.wav", tone(300, 0.2))
    save(tmp_path / "sounds" / "b.wav", tone(400, 0.2))
    config = apply_settings(RunConfig(), [f"data.path={str(tmp_path / 'sounds')!r}", "modality.rate=4000"])
    modality = prepare(config, tmp_path / "pack").modality
    assert isinstance(modality, Sound)
    assert modality.rate == 4000


def test_tables_beside_sounds_tell_of_them(tmp_path: Path) -> None:
    """A folder of sounds with metadata.csv is one of sounds, not a table."""
    save(tmp_path / "a.wav", tone(300, 0.1))
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,a low tone\n")
    kind = kind_of(apply_settings(RunConfig(), [f"data.path={str(tmp_path)!r}"]))
    assert kind["name"] == "sound"
    assert read(tmp_path)[0][0].captions == ("a low tone",)


def test_bad_files_are_named(tmp_path: Path) -> None:
    """Nothing ends the reading, nothing is changed unsaid."""
    good = save(tmp_path / "good.wav", tone(300, 0.5))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.flac").write_text("not a sound")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    whole = save(tmp_path / "cut.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 4000)).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "nan.wav", np.array([0.0, np.nan, 1.0]), subtype="FLOAT")
    with wave.open(str(tmp_path / "nothing.wav"), "wb") as none:
        none.setparams((1, 2, RATE, 0, "NONE", ""))
    save(tmp_path / "loud.wav", tone(300, 0.1, size=4.0), subtype="FLOAT")
    save(tmp_path / "one.wav", np.array([0.5]))
    items, rejected, notes = read(tmp_path, size=4000)
    assert {item.source for item in items} >= {f"{good.name}#1", "loud.wav#1", "one.wav#1"}
    assert np.abs(next(item.data for item in items if item.source == "loud.wav#1").astype(int)).max() > 32000
    assert "some are louder than full scale: made quieter as a whole" in notes
    reasons = {one.source: one.reason for one in rejected}
    assert reasons["empty.wav"] == "an empty file"
    assert reasons["nothing.wav"] == "a sound without a single sample"
    assert reasons["nan.wav"] == "it holds values that are no numbers"
    assert "whatever its name says" in reasons["text.flac"]
    assert "does not end like a sound's" in reasons["notes.pdf"]
    assert "cut.flac" in reasons


@pytest.mark.parametrize("rate", [1, 999, 1_000_000])
def test_a_rate_that_no_sound_has(tmp_path: Path, rate: int) -> None:
    """Of 1 Hz, two thousand samples were hours of sound."""
    save(tmp_path / "a.wav", np.zeros(2000), rate)
    with pytest.raises(DataError, match=rf"a rate of {rate:,} Hz; expected 1,000 to 768,000"):
        read(tmp_path)


def test_blocks_are_bounded_after_resampling(tmp_path: Path) -> None:
    """And where there are many channels; of what is longer than needed the rest is not read."""
    for channels in (1, 64):
        entry = entry_of(save(tmp_path / f"{channels}.wav", np.zeros((300_000, channels)), 1000))
        assert max(block.size for block in waves(entry, 48_000, 1, {})) < 2 * BLOCK
    part = Part(rate=48_000, length=1024, window=64, hop=16)
    start = time.process_time()
    assert sound_of(entry_of(tmp_path / "1.wav"), part).shape == (1, 1024)
    assert time.process_time() - start < 0.2
    whole = np.concatenate(list(waves(entry_of(save(tmp_path / "b.wav", tone(300, 20, 1000), 1000)), 48_000, 1, {})), 1)
    assert whole.shape == (1, 960_000)
    at_once = soxr.resample(tone(300, 20, 1000), 1000, 48_000)
    np.testing.assert_allclose(whole[0, 5000:-5000], at_once[5000:-5000], atol=1e-3)


def entry_of(path: Path) -> Entry:
    return Entry(name=path.name, open=lambda: path.open("rb"), suffix=path.suffix)


def test_nothing_to_hear_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds no sound that can be read .* 'a.wav': an empty file"):
        read(tmp_path)
    with pytest.raises(DataError, match="There is no"):
        read(tmp_path / "none")
    with pytest.raises(ConfigError, match="channels = 3: expected 1, mono, or 2"):
        read(save(tmp_path / "b.wav", tone(300, 0.1)), channels=3)
    with pytest.raises(ConfigError, match=r"modality\.rate = 3"):
        Sound(rate=3)


# --------------------------------------------------------------------------------------------------------- spectrogram


@pytest.mark.parametrize(("window", "hop"), [(512, 256), (512, 128), (16, 8), (64, 8)])
def test_the_spectrogram_comes_back(window: int, hop: int) -> None:
    """Above 100 dB in float32, exact in float64; of white noise and of a tone that fades, one and two channels."""
    x = torch.stack([torch.randn(2, 4096, generator=torch.Generator().manual_seed(0)) / 8,
                     torch.from_numpy(tone(440, 4096 / RATE) * np.linspace(1, 0, 4096)).float().expand(2, -1)])  # fmt: skip
    codec = Spectrogram(shape=(2, 4096), window=window, hop=hop)
    codec.fit(x)
    back = codec.decode(codec.encode(x))
    assert 10 * torch.log10(x.square().sum() / (back - x).square().sum()) > 100
    exact = codec.double()
    torch.testing.assert_close(exact.decode(exact.encode(x.double())), x.double(), atol=1e-12, rtol=0)


def test_what_the_spectrogram_holds() -> None:
    """Twice the values at half a window's hop; unit size once fitted; a tone in its frequency, all of its energy."""
    codec = Spectrogram(shape=(1, 4096), power=1.0).double()
    x = torch.from_numpy(tone(16 * RATE / 512, 4096 / RATE))[None, None]
    z = codec.encode(x)
    assert z.shape == (1, *codec.latent_shape((1, 4096))) == (1, 2, 256, 16)
    torch.testing.assert_close(2 * z.square().sum(), x.square().sum())  # a tight frame: w^2 sums to 1, one of two sides
    assert z.square().sum((0, 1, 3)).argsort()[-2:].sort().values.tolist() in ([15, 16], [16, 17])
    noise = torch.randn(8, 1, 4096, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    codec = Spectrogram(shape=(1, 4096)).double()
    codec.fit(noise)
    torch.testing.assert_close(codec.encode(noise).square().mean((0, 1, 3)), torch.ones(256, dtype=torch.float64))
    codec.fit(x)
    assert codec.encode(x).square().mean((0, 1, 3)).max() == pytest.approx(1)
    assert codec.encode(x).square().mean((0, 1, 3)).min() < 0.01  # what is silent stays so


@pytest.mark.parametrize(("settings", "shape", "message"), [
    ({"window": 511}, (1, 1024), "a window that is even"), ({"hop": 100}, (1, 1000), "by which half of it"),
    ({"power": 0.0}, (1, 1024), "codec.power = 0"), ({}, (1, 1000), "a multiple of codec.hop = 256"),
    ({}, (1, 256), "at least codec.window"), ({}, (3, 8, 8), r"not of samples of shape \(3, 8, 8\)"),
])  # fmt: skip
def test_spectrograms_that_cannot_be(settings: dict[str, float], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises((ConfigError, UnsupportedError), match=message):
        Spectrogram(shape=shape, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_finds_its_phases(channels: int) -> None:
    """Sizes are kept to 20 dB at 64 iterations, and to 10 dB more than at 4; pitch to a hundredth of a semitone."""
    rng, at = np.random.default_rng(0), np.arange(8192) / RATE
    hertz = np.array([262.0, 330.0, 392.0])
    notes = [sum(np.exp(-3 * at) / place * np.sin(2 * np.pi * place * one * at + rng.uniform(0, 6)) for place in range(1, 6))
             for one in hertz]  # fmt: skip
    x = torch.from_numpy(np.stack(notes) / 4).float()[:, None].expand(-1, channels, -1)
    codec = Loudness(shape=(channels, 8192), window=512, hop=128)
    codec.fit(x)
    z = codec.encode(x)
    assert z.shape == (3, *codec.latent_shape((channels, 8192))) == (3, 256 * channels, 64)
    assert z.mean().abs() < 1e-4
    found = {}
    for iterations in (4, 64):
        codec.iterations = iterations
        back = codec.decode(z)
        sizes = codec.frames(x).abs()
        found[iterations] = 20 * torch.log10(sizes.norm() / (codec.frames(back).abs() - sizes).norm())
    assert found[64] > 20
    assert found[64] > found[4] + 10
    assert np.abs(cents(pitch(back[:, 0].numpy(), RATE), hertz)).max() < 1
    torch.testing.assert_close(codec.decode(z[1:2]), back[1:2], atol=1e-5, rtol=0)
    assert codec.decode(codec.encode(torch.zeros(1, channels, 8192))).abs().max() < 1e-9


def test_loudness_in_decibels() -> None:
    """A full-scale sine is near 0 dB in its own band, a tenth of it 20 dB below, silence at the bottom."""
    bands = mel_bands(RATE, 512, BANDS)
    where = int(bands[:, round(1000 / RATE * 512)].argmax())
    seen = [loudness(torch.from_numpy(tone(1000, 1, size=size))[None, None].float(), RATE)[0, 0] for size in (1, 0.1, 0)]
    assert seen[0].shape[0] == BANDS
    assert seen[0][:, 20].argmax() in (where - 1, where, where + 1)
    decibels = [float(one[:, 20].max() - 1) * 40 for one in seen]
    assert decibels[0] == pytest.approx(0, abs=2)
    assert decibels[0] - decibels[1] == pytest.approx(20, abs=0.5)
    assert decibels[2] == -80


def test_mel_bands_equal_a_reference() -> None:
    reference = pytest.importorskip("transformers.audio_utils")
    theirs = reference.mel_filter_bank(num_frequency_bins=513, num_mel_filters=40, min_frequency=0.0, max_frequency=8000.0,
                                       sampling_rate=16000, norm=None, mel_scale="htk").T  # fmt: skip
    np.testing.assert_allclose(mel_bands(16000, 1024, 40), theirs, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- writing


@pytest.fixture
def samples() -> torch.Tensor:
    return torch.from_numpy(np.stack([tone(440, 0.1), tone(880, 0.1)])[:, None]).float()


def test_what_is_written_is_read_back(tmp_path: Path, samples: torch.Tensor) -> None:
    sound = Sound(rate=RATE)
    stored = sound.encode(samples)
    files = sound.write(samples, tmp_path / "folder", labels=["a", "b"])
    assert [file.name for file in files] == ["000000.wav", "000001.wav", "metadata.jsonl"]
    items, _, _ = read(tmp_path / "folder", size=800)
    assert [item.label for item in items] == ["a", "b"]
    np.testing.assert_array_equal(np.stack([item.data for item in items]), stored)
    for name in ("all.wav", "all.flac", "all.ogg"):
        sound.write(samples, tmp_path / name)
        heard, rate = soundfile.read(tmp_path / name, dtype="int16")
        assert (rate, len(heard)) == (RATE, 800 + 2000 + 800)
        if name != "all.ogg":
            np.testing.assert_array_equal(heard[-800:], stored[1, 0])
    np.testing.assert_array_equal(np.load(sound.write(samples, tmp_path / "all.npy")[0]), stored)
    sound.write(samples, tmp_path / "sheet.png", labels=["a", "b"])
    sound.journey([samples / 2, samples], tmp_path / "journey.gif")
    with pytest.raises(UserError, match=r"Cannot write sound as 'x\.mid'"):
        sound.write(samples, tmp_path / "x.mid")


def test_nothing_is_clipped(samples: torch.Tensor) -> None:
    """A wave beyond full scale keeps its form; what is within it is not touched."""
    sound = Sound(rate=RATE)
    stored = sound.encode(samples * torch.tensor([8.0, 1.0])[:, None, None]).astype(np.float64)
    assert np.abs(stored).max() <= 32768
    np.testing.assert_allclose(stored[0, 0] / np.abs(stored[0]).max(), samples[0, 0].numpy() / 0.5, atol=2e-3)
    np.testing.assert_array_equal(stored[1], sound.encode(samples[1:])[0])
    every = np.arange(-32768, 32768, dtype=np.int16)[None]
    np.testing.assert_array_equal(sound.encode(sound.decode(every)), every)


@pytest.mark.parametrize(("settings", "message"), [
    ({"hop": 512}, "at most a quarter of codec.window"), ({"iterations": 0}, "codec.iterations = 0"),
])  # fmt: skip
def test_loudness_that_cannot_be(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Loudness(shape=(1, 4096), **settings)


# --------------------------------------------------------------------------------------------------------------- pitch


@pytest.mark.parametrize("hertz", [65.4, 110.0, 261.63, 440.0, 987.77, 1900.0])
@pytest.mark.parametrize("overtones", [(1.0,), (0.2, 1.0, 0.7), (0.0, 1.0, 1.0, 1.0)])
def test_pitch_within_three_cents(hertz: float, overtones: tuple[float, ...]) -> None:
    """Of a tone, of one whose overtones are louder, and of one without its fundamental; in noise 40 dB below."""
    at = np.arange(16000) / 16000
    sound = sum(size * np.sin(2 * np.pi * hertz * (place + 1) * at + place) for place, size in enumerate(overtones)
                if hertz * (place + 1) < 7000)  # fmt: skip
    noisy = sound + 0.01 * np.random.default_rng(0).normal(size=16000)
    assert abs(cents(pitch(noisy[None], 16000), hertz)[0]) < 3


def test_pitch_of_silence_and_of_too_little() -> None:
    assert np.isnan(pitch(np.zeros((1, 8000)), 8000)).all()
    with pytest.raises(ValueError, match="too short"):
        pitch(np.zeros((1, 100)), 8000)
    np.testing.assert_allclose(cents([440, 880], [440, 440]), [0, 1200])
