"""Pictures: every way in, what is refused and in which words, and every way out, read back by another program's eyes."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from pellucid.codecs import codecs
from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.items import Rejection
from pellucid.modalities import modalities
from picture_files import FASHION, IMAGE, pixels, random_bytes, read, save

# ------------------------------------------------------------------------------------------------------ contracts


@pytest.mark.parametrize("name", list(modalities))
def test_modality_contract(name: str, tmp_path: Path) -> None:
    modality = modalities[name].example()
    assert modalities.name_of(modality) == name
    assert modality.metrics
    assert modality.steps > 0
    assert np.dtype(modality.storage)
    assert not modality.recognises(tmp_path)
    assert not modality.recognises(tmp_path / "none")


@pytest.mark.parametrize("name", list(codecs))
def test_codec_contract(name: str) -> None:
    codec, shape = codecs[name].example()
    x = torch.rand(3, *shape) * 2 - 1
    z = codec.encode(x)
    assert z.shape == (3, *codec.latent_shape(shape))
    assert codec.decode(z).shape == x.shape
    torch.testing.assert_close(codec.encode(x[1:2]), z[1:2])


def test_identity_changes_nothing() -> None:
    x = torch.rand(2, 3, 4)
    assert codecs["identity"]().decode(codecs["identity"]().encode(x)) is x


# ------------------------------------------------------------------------------------------------ range of values


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_every_byte_survives(kind: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    levels.flags.writeable = kind == "torch"  # rows of a mapped file are read-only
    x = IMAGE.decode(torch.from_numpy(levels) if kind == "torch" else levels)
    assert x.dtype == torch.float32
    assert (x[0], x[255]) == (-1, 1)
    np.testing.assert_array_equal(IMAGE.encode(x), levels)
    np.testing.assert_array_equal(IMAGE.encode(x.bfloat16()[[0, 255]]), [0, 255])


def test_encode_rounds_and_clamps() -> None:
    x = torch.tensor([-7.0, -1 + 0.4 / 127.5, -1 + 1.6 / 127.5, 0.0, 7.0], dtype=torch.float64)
    assert IMAGE.encode(x).tolist() == [0, 0, 2, 128, 255]


# ------------------------------------------------------------------------------------------------------- pictures


def test_folder_with_labels_is_exact_and_sorted(tmp_path: Path) -> None:
    expected = {}
    for name in ("b/2.png", "b/1.bmp", "a/deep/3.webp", "0.tif"):
        expected[name] = random_bytes(5, 7, 3) + len(name)
        save(tmp_path / name, expected[name], lossless=True)
    items, rejected, notes = read(tmp_path)
    assert [(item.source, item.label) for item in items] == [
        ("0.tif", None), ("a/deep/3.webp", "a"), ("b/1.bmp", "b"), ("b/2.png", "b")
    ]
    assert rejected == []
    assert notes == "pictures are 7 x 5, RGB"
    for item in items:
        np.testing.assert_array_equal(item.data, expected[item.source].transpose(2, 0, 1))
    assert {item.label for item in read(tmp_path, labels=False)[0]} == {None}


@pytest.mark.parametrize(("shapes", "size", "expected"), [
    ([(40, 40), (50, 50)], None, (32, 32)),
    ([(9, 9), (200, 200), (200, 100)], None, (64, 64)),
    ([(5, 5), (6, 6)], None, (8, 8)),
    ([(100, 200)], None, (32, 64)),  # one ratio: the longer side is 64
    ([(200, 300), (400, 600)], None, (40, 64)),  # 2 : 3 of 64 is 42.7, of which 40 is the nearest multiple of 8
    ([(300, 200), (202, 134)], 96, (96, 64)),
    ([(60, 90)] * 9 + [(90, 60)], None, (40, 64)),  # nine in ten share it
    ([(60, 90)] * 8 + [(90, 60)] * 2, None, (32, 32)),  # too few do
    ([(100, 102), (200, 203)], None, (64, 64)),  # nearly square
    ([(1, 300)], None, (8, 64)),
    ([(100, 200)], 8, (8, 8)),
    ([(333, 500)], 500, (333, 500)),  # as large as they are
    ([(100, 200)], (16, 20), (16, 20)),
])
def test_chosen_size(
    tmp_path: Path, shapes: list[tuple[int, int]], size: int | tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    for index, shape in enumerate(shapes):
        save(tmp_path / f"{index:02d}.png", random_bytes(*shape))
    items, _, notes = read(tmp_path, size=size)
    assert {item.data.shape for item in items} == {(1, *expected)}
    assert f"{expected[1]} x {expected[0]}, grey" in notes


def test_scaling_is_antialiased_and_central(tmp_path: Path) -> None:
    stripes = np.zeros((64, 128), dtype=np.uint8)
    stripes[:, 32:96:2] = 255
    save(tmp_path / "a.png", stripes)
    data = pixels(tmp_path, size=(8, 8))[0, 0].astype(int)
    assert np.abs(data[:, 1:-1] - 127.5).max() < 8  # picking every eighth pixel would give 0 or 255


@pytest.mark.parametrize(("picture", "expected", "note"), [
    (Pillow.new("RGBA", (4, 4), (255, 0, 0, 0)), [255, 255, 255], "transparency laid on white"),
    (Pillow.new("LA", (4, 4), (0, 128)), [127], "transparency laid on white"),
    (Pillow.new("I;16", (4, 4), 257 * 30), [30], "16 bits a pixel reduced to 8"),
    (Pillow.new("1", (4, 4), 1), [255], "grey"),
    (Pillow.new("RGB", (4, 4), (1, 2, 3)).quantize(2), [1, 2, 3], "RGB"),
])
def test_modes(tmp_path: Path, picture: Pillow.Image, expected: list[int], note: str) -> None:
    picture.save(tmp_path / "a.png")
    items, _, notes = read(tmp_path)
    assert items[0].data[:, 0, 0].tolist() == expected
    assert note in notes


def test_palette_with_transparent_bytes(tmp_path: Path) -> None:
    picture = Pillow.new("P", (2, 2), 0)
    picture.putpalette([10, 20, 30] * 2)
    picture.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert pixels(tmp_path)[0, :, 0, 0].tolist() == [255, 255, 255]


def test_cmyk_exif_and_animation(tmp_path: Path) -> None:
    Pillow.new("CMYK", (4, 4), (0, 0, 0, 255)).save(tmp_path / "cmyk.jpg")
    assert pixels(tmp_path / "cmyk.jpg")[0].max() < 3
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: the first column of the file is the top row
    upright = random_bytes(4, 6)
    save(tmp_path / "turned.png", np.rot90(upright), exif=exif)
    np.testing.assert_array_equal(pixels(tmp_path / "turned.png")[0, 0], upright)
    frames = [Pillow.new("L", (4, 4), level) for level in (7, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    items, _, notes = read(tmp_path / "moving.gif")
    assert (items[0].data == 7).all()
    assert "first frame of an animation" in notes


def test_grey_folder_asked_for_rgb_and_back(tmp_path: Path) -> None:
    save(tmp_path / "a.png", random_bytes(4, 4))
    assert pixels(tmp_path, channels=3).shape == (1, 3, 4, 4)
    with pytest.raises(DataError, match=r"RGB \(3\) or RGBA \(4\), not with 2 channels; those here have 1"):
        read(tmp_path, channels=2)


def odd_folder(folder: Path) -> dict[str, str]:
    """A folder with one good picture; returns what must be said of each of the others."""
    good = save(folder / "good.png", random_bytes(8, 8))
    data = good.read_bytes()
    save(folder / "cut.jpg", random_bytes(64, 64))
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:1500])
    (folder / "cut.png").write_bytes(data[:-30])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("buy milk")
    (folder / "line\nbreak ü.webp").write_bytes(b"RIFF")
    Pillow.new("F", (4, 4)).save(folder / "float.tif")
    Pillow.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    Pillow.new("1", (10_000, 10_000)).save(folder / "large.png")
    (folder.parent / "secret.png").write_bytes(data)
    (folder / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "circle").symlink_to(folder)
    (folder / "broken.png").symlink_to(folder / "gone.png")
    (folder / ".hidden.png").write_bytes(data)
    link = "a link that leads out of the folder, or in a circle"
    return {
        "cut.jpg": "damaged: image file is truncated", "cut.png": "damaged:", "empty.png": "an empty file",
        "text.jpg": "not a picture, whatever its name says", "notes.txt": "its name does not end like a picture's",
        "line\nbreak ü.webp": "", "float.tif": "floating-point pixels have no fixed white",
        "bomb.png": "more than 89,478,485 pixels",
        "large.png": "more than 89,478,485 pixels",
        "out.png": link, "circle": link, "broken.png": link,
    }


def test_odd_files_are_rejected_with_a_reason(tmp_path: Path) -> None:
    expected = odd_folder(tmp_path / "in")
    (tmp_path / "in" / "same.png").symlink_to(tmp_path / "in" / "good.png")
    save(tmp_path / "in" / "renamed.jpg", random_bytes(8, 8), format="png")
    save(tmp_path / "in" / "UPPER.PNG", random_bytes(8, 8))
    items, rejected, _ = read(tmp_path / "in")
    assert [item.source for item in items] == ["UPPER.PNG", "good.png", "renamed.jpg", "same.png"]
    assert {one.source for one in rejected} == set(expected)
    for one in rejected:
        assert expected[one.source] in one.reason
        assert one.reason


def test_strange_names_and_places(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    data = save(folder / "a.png", random_bytes(4, 4)).read_bytes()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(data)
    os.mkfifo(folder / "pipe.png")
    (tmp_path / "link").symlink_to(folder)
    items, rejected, _ = read(tmp_path / "link")
    assert [item.source for item in items] == ["a.png", "?.png"]
    assert rejected == [Rejection(source="pipe.png", reason="not a regular file")]
    for size in (0, (4, 0), (4, 4, 4)):
        with pytest.raises(ConfigError, match=r"size of pictures is .*, expected at least 1, or \[height, width\]"):
            read(folder, size=size)


def test_nothing_readable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no picture that can be read .*\. It is empty"):
        read(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"For example 'a\.png': an empty file"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(cut_png())  # a good header, too few pixels
    with pytest.raises(DataError, match=r"For example 'a\.png': damaged"):
        read(tmp_path)


def cut_png() -> bytes:
    whole = io.BytesIO()
    Pillow.fromarray(random_bytes(8, 8)).save(whole, "png")
    return whole.getvalue()[:50]


def test_recognises(tmp_path: Path) -> None:
    assert IMAGE.recognises(FASHION)
    assert IMAGE.recognises(save(tmp_path / "deep" / "a.jpeg", random_bytes(4, 4)))
    assert IMAGE.recognises(tmp_path)
    (tmp_path / "a.csv").touch()
    assert not IMAGE.recognises(tmp_path / "a.csv")


# -------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("channels", [1, 3])
def test_write_then_read(tmp_path: Path, channels: int) -> None:
    array = random_bytes(12, channels, 9, 9)
    written = IMAGE.write(IMAGE.decode(array), tmp_path / "out", labels=["犬", None] * 6)
    assert [path.name for path in written[:2]] == ["000000.png", "000001.png"]
    assert (tmp_path / "out" / "metadata.jsonl").read_text(encoding="utf-8").startswith(
        '{"file_name": "000000.png", "label": "犬"}\n'
    )
    np.testing.assert_array_equal(pixels(tmp_path / "out"), array)
    IMAGE.write(IMAGE.decode(array), tmp_path / "all.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), array)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp"])
def test_one_sample_is_written_as_it_is(tmp_path: Path, suffix: str) -> None:
    array = random_bytes(1, 3, 9, 5)
    IMAGE.write(IMAGE.decode(array), tmp_path / f"one{suffix}")
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / f"one{suffix}")), array[0].transpose(1, 2, 0))


def test_sheet_shows_every_sample(tmp_path: Path) -> None:
    array = random_bytes(5, 1, 24, 24)
    IMAGE.write(IMAGE.decode(array), tmp_path / "sheet.png")
    whole = np.asarray(Pillow.open(tmp_path / "sheet.png"))
    scale, gap = 4, 4
    assert whole.shape == (2 * (96 + gap) + gap, 3 * (96 + gap) + gap)
    for index in range(5):
        top, left = gap + index // 3 * 100, gap + index % 3 * 100
        tile = whole[top : top + 96, left : left + 96]
        np.testing.assert_array_equal(tile, array[index, 0].repeat(scale, 0).repeat(scale, 1))
    assert (whole[104:, 204:] == 255).all()
    IMAGE.write(IMAGE.decode(array), tmp_path / "named.png", labels=["cat", None, "dog", "owl", "ox"])
    named = np.asarray(Pillow.open(tmp_path / "named.png"))
    assert (named[100:116, :100] < 128).any()
    assert (named[100:116, 104:200] == 255).all()


def test_journey_gif_and_webp(tmp_path: Path) -> None:
    steps = random_bytes(7, 4, 1, 24, 24)
    frames = [IMAGE.decode(step) for step in steps]
    for suffix in (".gif", ".webp"):
        path = tmp_path / f"way{suffix}"
        IMAGE.journey(frames, path)
        with Pillow.open(path) as moving:
            assert moving.n_frames == 7
            durations = []
            for index in range(7):
                moving.seek(index)
                moving.load()
                durations.append(moving.info["duration"])
                tile = np.asarray(moving.convert("L"))[4:100, 4:100]
                np.testing.assert_array_equal(tile, steps[index, 0, 0].repeat(4, 0).repeat(4, 1))
            assert durations == [200] * 6 + [1500]
            assert moving.info["loop"] == 0


def test_long_journey_is_thinned(tmp_path: Path) -> None:
    frames = [torch.full((1, 3, 8, 8), level) for level in torch.linspace(-1, 1, 300)]
    IMAGE.journey(frames, tmp_path / "way.gif")
    with Pillow.open(tmp_path / "way.gif") as moving:
        assert moving.n_frames == 75
        assert moving.convert("L").getpixel((50, 50)) == 0
        moving.seek(74)
        assert moving.convert("L").getpixel((50, 50)) == 255
    IMAGE.journey(frames, tmp_path / "way.png")
    with Pillow.open(tmp_path / "way.png") as strip:
        side, gap = 96, 12
        assert strip.size == (12 * (side + gap) + gap, side + 2 * gap)


def test_writing_is_refused_in_words(tmp_path: Path) -> None:
    two = torch.zeros(2, 2, 8, 8)
    with pytest.raises(UserError, match="2 channels has no colours"):
        IMAGE.write(two, tmp_path / "a.png")
    with pytest.raises(UserError, match="no samples to write"):
        IMAGE.write(two[:0], tmp_path / "a.png")
    with pytest.raises(UserError, match=r"cannot be written as 'a\.mp4': .*\.gif, \.png, \.webp"):
        IMAGE.journey([two], tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"cannot be written as 'a\.gi': did you mean '\.gif'\?"):
        IMAGE.journey([two], tmp_path / "a.gi")
    with pytest.raises(UserError, match="at least one step and one sample"):
        IMAGE.journey([], tmp_path / "a.gif")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"):
        IMAGE.write(torch.zeros(1, 1, 8, 8), tmp_path / "file" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
