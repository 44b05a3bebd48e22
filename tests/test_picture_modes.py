"""Modes, formats and numbers of channels: each as another program, or arithmetic, says it looks."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from pellucid.core.errors import DataError
from picture_files import IMAGE, Bytes, pixels, random_bytes, read, save

RGBA = np.stack([np.full((8, 8), value, np.uint8) for value in (200, 100, 50, 128)], axis=-1)


def middle(path: Path, **options: Any) -> list[int]:
    """The colour in the middle."""
    data = pixels(path, **options)[0]
    return [int(value) for value in data[:, data.shape[1] // 2, data.shape[2] // 2]]


def near(found: list[int], expected: tuple[float, ...], by: float = 2) -> bool:
    return len(found) == len(expected) and all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


# ------------------------------------------------------------------------------------------------------------ modes


def test_cmyk_jpeg_with_adobes_inversion(tmp_path: Path) -> None:
    """Cyan 25 %, magenta 50 %, yellow 0, black 25 %: (1 - c)(1 - k) of white."""
    Pillow.new("CMYK", (16, 16), (64, 128, 0, 64)).save(tmp_path / "a.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
    assert near(middle(tmp_path / "a.jpg"), tuple(255 * (1 - c / 255) * (1 - 64 / 255) for c in (64, 128, 0)), 3)


def test_ycck_jpeg(tmp_path: Path) -> None:
    """The same bytes marked as YCCK: (Y, Cb, Cr) is then that of the inverted ink, and grey where Cb = Cr = 128."""
    whole = io.BytesIO()
    Pillow.new("CMYK", (16, 16), (255 - 100, 255 - 128, 255 - 128, 0)).save(whole, "jpeg", quality=100)
    data = bytearray(whole.getvalue())
    place = data.index(b"Adobe") + 11  # the transform: 0 is CMYK, 2 YCCK
    assert data[place] in (0, 2)
    data[place] = 2
    (tmp_path / "a.jpg").write_bytes(data)
    red, green, blue = middle(tmp_path / "a.jpg")
    assert max(abs(red - green), abs(green - blue)) <= 2
    with Pillow.open(tmp_path / "a.jpg") as picture:
        assert near([red, green, blue], tuple(picture.convert("RGB").getpixel((8, 8))))  # type: ignore[arg-type]


def test_lab_tiff(tmp_path: Path) -> None:
    """Through the profile and back."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    there = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    colour = Pillow.new("RGB", (8, 8), (200, 90, 40))
    ImageCms.applyTransform(colour, there).save(tmp_path / "a.tif")
    assert near(middle(tmp_path / "a.tif"), (200, 90, 40), 4)


def png_of_16_bits(array: NDArray[np.int64]) -> bytes:
    """Colours (H, W, 3), written by hand, as Pillow does not write such files."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bits(tmp_path: Path) -> None:
    """Colours as PNG, grey as PNG and TIFF."""
    levels = np.arange(256).reshape(16, 16) * 257
    (tmp_path / "a.png").write_bytes(png_of_16_bits(np.stack([levels, levels[::-1], levels.T], axis=-1)))
    expected = levels // 257
    np.testing.assert_array_equal(pixels(tmp_path / "a.png")[0], np.stack([expected, expected[::-1], expected.T]))
    for name in ("grey.png", "grey.tif"):
        save(tmp_path / name, levels.astype(np.uint16))
        np.testing.assert_array_equal(pixels(tmp_path / name)[0, 0], expected)


def test_several_pictures_in_a_file(tmp_path: Path) -> None:
    """GIF, WebP, APNG, TIFF and the MPO of cameras: the first, which a note says."""
    frames = [Pillow.new("RGB", (8, 8), (60 * index, 30, 90)) for index in range(1, 4)]
    for name, kind in (("a.gif", "gif"), ("a.webp", "webp"), ("a.png", "png"), ("a.tif", "tiff"), ("a.jpg", "mpo")):
        frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:], quality=100, lossless=True)
        assert near(middle(tmp_path / name), (60, 30, 90))
        note = "first of several pictures in a file" if kind in ("tiff", "mpo") else "first frame of an animation"
        assert note in read(tmp_path / name)[2]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_by_exif(tmp_path: Path, suffix: str, orientation: int) -> None:
    """The meaning of the eight orientations, from the standard: where the top left corner of the scene went."""
    upright = np.zeros((32, 48), np.uint8)
    upright[:16, :24] = 255
    turns = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T, 6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored = Pillow.fromarray(np.ascontiguousarray(turns[orientation])).convert("RGB")
    stored.save(tmp_path / f"a{suffix}", exif=exif, lossless=True)
    data = pixels(tmp_path)[0]
    assert data.shape == (3, 32, 48)
    np.testing.assert_allclose(data[0].astype(int), upright.astype(int), atol=8)


@pytest.mark.parametrize("name", ["a.jpg", "a.TIF", "a.JPEG", "a.bmp", "a.JFIF"])
def test_a_wrong_suffix_does_not_matter(tmp_path: Path, name: str) -> None:
    array = random_bytes(9, 9, 3)
    save(tmp_path / name, array, format="png")
    np.testing.assert_array_equal(pixels(tmp_path)[0], array.transpose(2, 0, 1))


# --------------------------------------------------------------------------------------------------------- channels


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparency_is_kept_when_asked_for(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a{suffix}", RGBA, lossless=True)
    save(tmp_path / "b.png", RGBA[..., :3])  # opaque
    save(tmp_path / "c.png", RGBA[..., 0])
    (alpha, plain, grey), rejected, notes = read(tmp_path, channels=4)
    assert rejected == []
    assert alpha.data[:, 0, 0].tolist() == [200, 100, 50, 128]
    assert plain.data[:, 0, 0].tolist() == [200, 100, 50, 255]
    assert grey.data[:, 0, 0].tolist() == [200, 200, 200, 255]
    assert "white" not in notes
    on_white = [round(colour * 128 / 255 + 127) for colour in (200, 100, 50)]
    assert near([int(x) for x in pixels(tmp_path / f"a{suffix}")[0, :, 0, 0]], tuple(on_white), 1)


def test_what_is_transparent_does_not_bleed_when_scaled(tmp_path: Path) -> None:
    """A red square on invisible green: the edge fades, but stays red."""
    array = np.zeros((64, 64, 4), np.uint8)
    array[..., 1] = 255
    array[16:48, 16:48] = (255, 0, 0, 255)
    save(tmp_path / "a.png", array)
    red, green, _, alpha = pixels(tmp_path, channels=4, size=12)[0]
    edge = (alpha > 20) & (alpha < 235)
    assert edge.any()
    assert green[edge].max() < 16
    assert red[edge].min() > 240


def test_four_channels_are_written_as_they_are(tmp_path: Path) -> None:
    array = random_bytes(3, 4, 9, 9)
    IMAGE.write(IMAGE.decode(array), tmp_path / "out")
    np.testing.assert_array_equal(pixels(tmp_path / "out", channels=4)[:, 3], array[:, 3])
    shown = array[:, 3] > 0
    found = pixels(tmp_path / "out", channels=4).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found[shown], array.transpose(0, 2, 3, 1)[shown])
    for name in ("one.jpg", "one.bmp"):  # formats without transparency
        IMAGE.write(IMAGE.decode(array[:1]), tmp_path / name)
        assert pixels(tmp_path / name).shape == (1, 3, 9, 9)
    IMAGE.write(IMAGE.decode(array), tmp_path / "sheet.png")


def test_bands_that_are_left_out_are_told(tmp_path: Path) -> None:
    bands = random_bytes(6, 5, 4)
    Pillow.frombytes("RGBX", (5, 6), bands.tobytes()).save(tmp_path / "a.tif")
    items, _, notes = read(tmp_path)
    assert "of 4 bands in a TIFF the first 3; arrays (.npy) keep all" in notes
    np.testing.assert_array_equal(items[0].data, bands.transpose(2, 0, 1)[:3])


# -------------------------------------------------------------------------------------------- one array, one picture


@given(
    channels=st.integers(1, 7), height=st.integers(8, 12), width=st.integers(8, 12), first=st.booleans(),
    dtype=st.sampled_from(["u1", "u2", ">u2", "f4", "f8", "i8"]), fortran=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_arrays_of_one_picture(
    tmp_path_factory: pytest.TempPathFactory, channels: int, height: int, width: int, first: bool, dtype: str, fortran: bool
) -> None:
    """Any number of channels, on either side; folders are labels; the range of all decides what white is."""
    folder = tmp_path_factory.mktemp("arrays")
    expected = np.random.default_rng(0).integers(0, 256, (4, channels, height, width), np.uint8)
    expected[3, 0, 0, 0] = 255
    scale = {"u": 257, "i": 257, "f": 1 / 255}[np.dtype(dtype).kind] if dtype != "u1" else 1
    for index, picture in enumerate(expected):
        values = picture.astype(dtype) * np.asarray(scale).astype(dtype)
        values = values if first else np.moveaxis(values, 0, -1)
        place = folder / "ab"[index % 2]
        place.mkdir(exist_ok=True)
        np.save(place / f"{index}.npy", (np.asfortranarray if fortran else np.ascontiguousarray)(values.astype(dtype)))
    items, rejected, _ = read(folder)
    assert rejected == []
    assert [item.label for item in items] == ["a", "a", "b", "b"]
    np.testing.assert_array_equal(np.stack([item.data for item in items]), expected[[0, 2, 1, 3]])


def save_arrays(folder: Path, *arrays: NDArray[Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, array in enumerate(arrays):
        np.save(folder / f"{index}.npy", array)
    return folder


def test_arrays_side_by_side_are_pictures_or_stacks(tmp_path: Path) -> None:
    """Of few channels, pictures; of many, stacks, of which one must be named."""
    assert pixels(save_arrays(tmp_path / "1", *random_bytes(3, 5, 9, 9))).shape == (3, 5, 9, 9)
    assert pixels(save_arrays(tmp_path / "2", *random_bytes(3, 9, 9))).shape == (3, 1, 9, 9)
    for index, shapes in enumerate(([(40, 20, 20)] * 3, [(5, 1, 9, 9)] * 2, [(5, 9, 9), (4, 9, 9)])):
        with pytest.raises(DataError, match="several arrays of pictures"):
            read(save_arrays(tmp_path / f"stacks{index}", *(random_bytes(*shape) for shape in shapes)))


def test_odd_arrays_are_named(tmp_path: Path) -> None:
    good: Bytes = random_bytes(5, 9, 9)
    folder = save_arrays(tmp_path / "in" / "x", *[good.astype(np.float32) / 255] * 3)
    odd = {
        "nan.npy": np.full((5, 9, 9), np.nan, np.float32), "huge.npy": np.full((5, 9, 9), 1e9, np.float32),
        "four.npy": np.zeros((4, 9, 9, 2)), "words.npy": np.array([["a"]]), "none.npy": np.zeros((0, 9)),
        "three.npy": np.zeros((3, 9, 9)),
    }  # fmt: skip
    for name, array in odd.items():
        np.save(folder / name, array)
    np.save(folder / "pickle.npy", np.full((9, 9), None), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "0.npy").read_bytes()[:-1])
    (folder / "text.npy").write_text("no array")
    save(folder / "picture.png", random_bytes(9, 9))
    items, rejected, _ = read(tmp_path / "in")
    np.testing.assert_array_equal(np.stack([item.data for item in items]), np.stack([good] * 3))
    reasons = {one.source.removeprefix("x/"): one.reason for one in rejected}
    assert set(reasons) == {*odd, "pickle.npy", "cut.npy", "text.npy", "picture.png"}
    assert reasons["three.npy"] == "3 channels, where the others have 5"
    assert "NaN" in reasons["nan.npy"]
    assert "ends too early" in reasons["cut.npy"]
    assert "an array among pictures" in reasons["picture.png"]
