"""Films: every way in, what is refused and in which words, and every way out, read back."""

import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.items import Item, Origin, Rejection
from pellucid.modalities.video import Video
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import kind_of

av = pytest.importorskip("av")

FAST, SLOW = 10, 5


def shades(count: int, side: int = 16) -> NDArray[np.uint8]:
    """Frames (count, side, side, 3), each of one shade that tells which it is."""
    levels = np.linspace(10, 240, count).round().astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, side, side, 3)).copy()


def animate(path: Path, frames: NDArray[np.uint8], milliseconds: int = 1000 // FAST) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (Pillow.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0, lossless=True)
    return path


def encode(path: Path, frames: NDArray[np.uint8], rate: int = FAST, codec: str = "libx264") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def read(path: Path, **settings: object) -> tuple[list[Item], list[Rejection], str]:
    own = {key: settings.pop(key) for key in ("frames", "stride", "rate") if key in settings}
    records = list(Video(**own).read(path, **settings))  # type: ignore[arg-type]
    notes = "; ".join(note for one in records if isinstance(one, Origin) for note in one.notes)
    return [one for one in records if isinstance(one, Item)], [one for one in records if isinstance(one, Rejection)], notes


def levels(item: Item) -> list[int]:
    """The shade of each frame of a window (C, T, H, W)."""
    return [round(float(frame.mean())) for frame in item.data.transpose(1, 0, 2, 3)]


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(("suffix", "codec"), [
    (".mp4", "libx264"), (".webm", "libvpx-vp9"), (".mkv", "mpeg4"), (".avi", "mpeg4"),
])  # fmt: skip
def test_containers(tmp_path: Path, suffix: str, codec: str) -> None:
    """All frames in their order, as near as the codec comes."""
    encode(tmp_path / f"a{suffix}", shades(16, 32), codec=codec)
    (item,), rejected, notes = read(tmp_path)
    assert (item.data.shape, item.data.dtype, rejected) == ((3, 16, 32, 32), np.uint8, [])
    assert np.abs(np.array(levels(item)) - shades(16)[:, 0, 0, 0]).max() <= 8
    assert "films are 16 frames at 10 a second, 1.60 s" in notes


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_pictures_that_move(tmp_path: Path, suffix: str) -> None:
    """Every value, with labels from folders; a window ends with the film."""
    animate(tmp_path / "up" / f"a{suffix}", shades(16))
    animate(tmp_path / "down" / f"b{suffix}", shades(28)[::-1])
    items, rejected, notes = read(tmp_path)
    assert [item.label for item in items] == ["down", "down", "up"]
    assert rejected == []
    np.testing.assert_array_equal(items[2].data, shades(16).transpose(3, 0, 1, 2))
    assert levels(items[1]) == shades(28)[::-1][12:, 0, 0, 0].tolist()
    assert "the last window of a film ends with it" in notes


def test_windows_overlap_by_a_stride(tmp_path: Path) -> None:
    animate(tmp_path / "a.webp", shades(12))
    items, _, _ = read(tmp_path / "a.webp", frames=4, stride=2)
    assert [levels(item)[0] for item in items] == shades(12)[[0, 2, 4, 6, 8], 0, 0, 0].tolist()


def test_rates_are_brought_together(tmp_path: Path) -> None:
    """Of each moment the frame that is shown then: of a fast film every second one, of a slow film each twice."""
    animate(tmp_path / "a.webp", shades(16), 100)
    animate(tmp_path / "b.webp", shades(16), 100)
    animate(tmp_path / "fast.webp", shades(32), 50)
    animate(tmp_path / "slow.webp", shades(8), 200)
    items, _, notes = read(tmp_path)
    assert "2 of another rate" in notes
    assert levels(items[2]) == shades(32)[::2, 0, 0, 0].tolist()
    assert levels(items[3]) == np.repeat(shades(8)[:, 0, 0, 0], 2).tolist()
    (half,), _, notes = read(tmp_path / "fast.webp", frames=8, rate=5)
    assert levels(half) == shades(32)[::4, 0, 0, 0].tolist()
    assert "at 10 a second" in read(tmp_path / "fast.webp")[2]  # 20 is halved of itself


def test_sizes_and_colours(tmp_path: Path) -> None:
    """Large ones become small, with their shape; grey and transparency where they are asked for."""
    animate(tmp_path / "wide.webp", np.repeat(shades(16, 48), 2, axis=2))
    (item,), _, notes = read(tmp_path)
    assert item.data.shape == (3, 16, 16, 32)
    assert "96 x 48" in notes
    assert read(tmp_path, size=64, channels=1)[0][0].data.shape == (1, 16, 32, 64)
    clear = np.concatenate([shades(16), np.zeros((16, 16, 16, 1), np.uint8)], axis=3)
    animate(tmp_path / "clear" / "a.webp", clear)
    assert int(read(tmp_path / "clear", channels=4)[0][0].data[3].max()) == 0
    assert int(read(tmp_path / "clear")[0][0].data.min()) == 255
    with pytest.raises(ConfigError, match="channels = 2: expected 1, grey, 3, colours, or 4"):
        read(tmp_path, channels=2)


def test_captions_and_archives(tmp_path: Path) -> None:
    animate(tmp_path / "a.webp", shades(16))
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.webp", "text": "it grows light"}\n')
    assert read(tmp_path)[0][0].captions == ("it grows light",)


@pytest.mark.parametrize(("names", "kind"), [
    (["a.mp4", "b.jpg", "c.jpg"], "image"),
    (["a.mp4"], "video"), (["a.webp"], "video"), (["a.jpg"], "image"), (["a.webp", "b.jpg", "c.jpg"], "image"),
])  # fmt: skip
def test_what_a_folder_holds(tmp_path: Path, names: list[str], kind: str) -> None:
    """Pictures that move are films if most of the pictures do."""
    for name in names:
        moving = Path(name).suffix in (".webp", ".mp4")
        (animate if name.endswith("webp") else encode)(tmp_path / name, shades(8)) if moving else Pillow.fromarray(
            shades(1)[0]
        ).save(tmp_path / name)
    assert kind_of(apply_settings(RunConfig(), [f"data.path={str(tmp_path)!r}"]))["name"] == kind


@pytest.mark.parametrize(("milliseconds", "rate"), [
    ([400] + [100] * 31, "10"), ([2000] + [50] * 31, "10"), ([83, 83, 84] * 10, "12"), ([16] * 64, "12.5"),
])  # fmt: skip
def test_the_usual_rate_of_an_animation(tmp_path: Path, milliseconds: list[int], rate: str) -> None:
    """Of most of its frames, not of one that is held; then whole parts of it up to 15 a second."""
    first, *rest = (Pillow.fromarray(frame) for frame in shades(len(milliseconds)))
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, duration=milliseconds, lossless=True)
    assert f"at {rate} a second" in read(tmp_path)[2]


def test_films_that_were_turned_and_wide_pixels(tmp_path: Path) -> None:
    """As they are meant to be seen: a quarter turn in the header, pixels twice as wide as high."""
    frames = np.zeros((16, 24, 48, 3), np.uint8)
    frames[:, :, :8] = 255  # white at the left
    whole = bytearray(encode(tmp_path / "turned.mp4", frames).read_bytes())
    matrix = whole.find(b"tkhd") + 4 + 4 + 20 + 16
    struct.pack_into(">9I", whole, matrix, 0, 1 << 16, 0, 0xFFFF0000, 0, 0, 24 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(whole)
    (item,), _, notes = read(tmp_path / "turned.mp4", size=48)
    assert "24 x 48" in notes
    assert item.data.shape == (3, 16, 48, 24)
    assert item.data[:, :, :6].min() > 200 > 100 > item.data[:, :, 12:].max()  # and now on top
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FAST)
        stream.width, stream.height, stream.pix_fmt = 24, 24, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for frame in shades(16, 24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert read(tmp_path / "wide.mp4", size=48)[0][0].data.shape == (3, 16, 24, 48)


def test_a_long_hold_is_cut_short(tmp_path: Path) -> None:
    """A frame that lasts ten minutes is no film of six thousand."""
    animate(tmp_path / "a.webp", shades(16))
    first, *rest = (Pillow.fromarray(frame) for frame in shades(16))
    held = [100] * 15 + [600_000]
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, duration=held, lossless=True)
    items, _, notes = read(tmp_path)
    assert len(items) <= 8
    assert "frames that are shown for more than 10 s are shown for 10 s" in notes


def test_archives_of_films(tmp_path: Path) -> None:
    """They are recognised by what is in them, and read in place."""
    encode(tmp_path / "a.mp4", shades(16, 32))
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "up/a.mp4")
        archive.write(animate(tmp_path / "b.webp", shades(16, 32)), "down/b.webp")
    assert kind_of(apply_settings(RunConfig(), [f"data.path={str(tmp_path / 'films.zip')!r}"]))["name"] == "video"
    assert sorted(str(item.label) for item in read(tmp_path / "films.zip")[0]) == ["down", "up"]


# ---------------------------------------------------------------------------------------------------------- bad input


def test_bad_files_are_named(tmp_path: Path) -> None:
    """Nothing ends the reading, nothing is changed unsaid."""
    whole = encode(tmp_path / "good.mp4", shades(16, 32)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index stands at the end
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.webm").write_text("not a film, though it is long enough to be looked into")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    (tmp_path / "wrong.mp4").write_bytes(animate(tmp_path / "right.gif", shades(16)).read_bytes())
    Pillow.fromarray(shades(1)[0]).save(tmp_path / "still.webp")
    animate(tmp_path / "short.webp", shades(3))
    animate(tmp_path / "held.webp", shades(9))
    moving = animate(tmp_path / "torn.webp", np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8))
    moving.write_bytes(moving.read_bytes()[:4000])
    items, rejected, notes = read(tmp_path)
    assert {item.source for item in items} == {"good.mp4#1", "right.gif#1", "held.webp#1", "wrong.mp4#1"}
    assert levels(next(item for item in items if "held" in item.source))[8:] == [240] * 8
    assert "shorter ones hold their last frame" in notes
    reasons = {one.source: one.reason for one in rejected}
    assert reasons["empty.mp4"] == "an empty file"
    assert reasons["still.webp"] == "a picture that does not move"
    assert reasons["short.webp"].startswith("3 frames at 10 a second, expected 16 or half as many")
    assert "whatever its name says" in reasons["text.webm"]
    assert "does not end like a film's" in reasons["notes.pdf"]
    assert reasons.keys() >= {"cut.mp4", "torn.webp"}


def test_films_cut_short_are_named(tmp_path: Path) -> None:
    """What there is of them is read, that it is not all is said."""
    frames = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    whole = encode(tmp_path / "a.webm", frames, codec="libvpx-vp9")
    data = whole.read_bytes()
    whole.write_bytes(data[: 2 * len(data) // 3])
    items, (rejected,), _ = read(tmp_path)
    assert 1 <= len(items) < 4
    assert "damaged: it ends after" in rejected.reason


def test_frames_that_last_for_ever(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(frame) for frame in shades(4)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=250_000, lossless=True)
    with pytest.raises(DataError, match="a picture every 250 s: expected at least one in 20 s"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"0\.05 to 1,000 frames per second"):
        Video(rate=1e-6)
    with pytest.raises(UserError, match="a GIF shows 50 at most"):
        Video(rate=60.0).write(torch.zeros(1, 3, 4, 8, 8), tmp_path / "a.gif")


def test_nothing_to_see_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds no film that can be read .* 'a.mp4': an empty file"):
        read(tmp_path)
    with pytest.raises(DataError, match="There is no"):
        read(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"modality\.frames = 1: expected 2 to 4,096"):
        Video(frames=1)
    with pytest.raises(ConfigError, match=r"modality\.stride = -1"):
        Video(stride=-1)


# ------------------------------------------------------------------------------------------------------------ writing


@pytest.fixture
def samples() -> torch.Tensor:
    stored = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 16, 16), dtype=np.uint8)
    return Video(rate=8.0).decode(stored)


def test_what_is_written_is_read_back(tmp_path: Path, samples: torch.Tensor) -> None:
    """A folder keeps every value, the rate and the labels."""
    video = Video(frames=5, rate=8.0)
    files = video.write(samples, tmp_path / "made", labels=["a", "b"])
    assert [file.name for file in files] == ["000000.webp", "000001.webp", "metadata.jsonl"]
    items, rejected, notes = read(tmp_path / "made", frames=5)
    assert rejected == []
    assert [item.label for item in items] == ["a", "b"]
    assert "5 frames at 8 a second" in notes
    np.testing.assert_array_equal(np.stack([item.data for item in items]), video.encode(samples))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_films_play_side_by_side(tmp_path: Path, suffix: str, samples: torch.Tensor) -> None:
    """One film of all, as long as each of them."""
    Video(frames=5, rate=8.0).write(samples, tmp_path / f"all{suffix}", labels=["a", "b"])
    (item,), rejected, notes = read(tmp_path / f"all{suffix}", frames=5, size=64)
    assert rejected == []
    assert item.data.shape[1] == 5
    assert "at 8" in notes  # a GIF counts in hundredths of a second


def test_stills_and_numbers(tmp_path: Path, samples: torch.Tensor) -> None:
    """A row of frames for each film; bytes as they are."""
    video = Video(frames=5, rate=8.0)
    video.write(samples, tmp_path / "sheet.png")
    video.write(samples, tmp_path / "all.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), video.encode(samples))
    with Pillow.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 5 * 16
    strip = video.pictures(video.encode(samples))[0]
    np.testing.assert_array_equal(strip[:, :, 16:32], video.encode(samples)[0, :, 1])
    with pytest.raises(UserError, match=r"Cannot write films as 'a\.wav'"):
        video.write(samples, tmp_path / "a.wav")
    with pytest.raises(UserError, match="no samples"):
        video.write(samples[:0], tmp_path / "b.mp4")
