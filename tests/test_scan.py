"""Medical images: every way in to the last digit, what is refused and in which words, and every way out, read back."""

import gzip
import tracemalloc
from pathlib import Path
from shutil import copy
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.modalities import dicom as dicom_files
from pellucid.modalities.scan import Scan
from pellucid.sources.refused import RefusedError
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import kind_of
from scan_files import PATIENT, UID, dicom, holding, nibabel, nifti, pydicom, read, series, values_of

RNG = np.random.default_rng(0)
SLICE = RNG.integers(0, 3000, (12, 16), dtype=np.int16)
VOLUME = RNG.integers(-1000, 2000, (6, 8, 10), dtype=np.int16)

# ------------------------------------------------------------------------------------------------------------ reading


def test_slices(tmp_path: Path) -> None:
    """Hounsfield units, the window that files have, spacing; labels from folders."""
    dicom(tmp_path / "ct" / "IM001", SLICE, WindowCenter=[40, 500], WindowWidth=[400, 2000], SeriesInstanceUID=None)
    dicom(tmp_path / "other" / "IM002", SLICE[::-1], WindowCenter=50, WindowWidth=200)
    dicom(tmp_path / "other" / "IM003", SLICE[:, ::-1], WindowCenter=40, WindowWidth=400)
    items, rejected, notes, scan = read(tmp_path)
    assert (rejected, [item.label for item in items]) == ({}, ["ct", "other", "other"])
    assert (scan.window, scan.intercept, scan.numbers, scan.spacing) == ((40.0, 400.0), -1024.0, "int16", (1.0, 0.5, 0.25))
    assert "slices are 12 x 16, 0.5 x 0.25 mm apart" in notes
    assert "the window is 40 - 200 to 40 + 200, the middle one of the files' own" in notes
    np.testing.assert_array_equal(items[0].data[0], SLICE)
    np.testing.assert_array_equal(scan.counts.values(items[0].data)[0], SLICE.astype(int) - 1024)
    x = scan.decode(np.array([1024 - 160, 1024 + 240, 1024 + 40, 1024 + 40 + 2000]))
    torch.testing.assert_close(x, torch.tensor([-1.0, 1.0, 0.0, 1 + float(np.log(10))]), atol=1e-6, rtol=0)
    assert Scan(window=(0, 100)).window == (0, 100)
    assert "the one asked for" in read(tmp_path, window=(0.0, 100.0))[2]


def test_a_window_from_the_data(tmp_path: Path) -> None:
    """99% of all values; of few different ones all."""
    values = np.arange(10_000, dtype=np.int16).reshape(1, 100, 100)
    for name in "ab":
        nifti(tmp_path / f"{name}.nii", values)
    _, _, notes, scan = read(tmp_path, size=(100, 100))
    assert scan.window == pytest.approx((4999.5, 9899), abs=1)
    assert "no window in most files: it will hold 99% of all values" in notes
    mask = np.zeros((1, 100, 100), np.uint8)
    mask[0, 0, 0] = 1
    assert read(nifti(tmp_path / "mask" / "a.nii.gz", mask), size=(100, 100))[3].window == (0.5, 1.0)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_every_number_survives_the_models_range(kind: type) -> None:
    """Also far beyond a narrow window."""
    numbers = {np.uint8: "int16", np.uint16: "int32", np.int32: "int32"}.get(kind, np.dtype(kind).name)
    scan = Scan(window=(40.0, 1.0), numbers=numbers, intercept=-1024.0)  # type: ignore[arg-type]
    if kind is np.float32:
        stored, scan = np.linspace(-5000, 5000, 10_001, dtype=np.float32), Scan(window=(40.0, 400.0), numbers="float32")
        np.testing.assert_allclose(scan.encode(scan.decode(stored)), stored, rtol=2e-6, atol=1e-4)
        return
    low, high = max(-(1 << 15), np.iinfo(kind).min), min(1 << 17, np.iinfo(kind).max)
    stored = np.arange(low, high + 1).astype(numbers)
    np.testing.assert_array_equal(scan.encode(scan.decode(stored)), stored)
    np.testing.assert_array_equal(scan.encode(scan.decode(torch.from_numpy(stored))), stored)
    assert (scan.decode(stored).diff() > 0).all()


def test_numbers_that_share_no_slope(tmp_path: Path) -> None:
    """Values where those are whole, else floating-point numbers; both as the files have them."""
    dicom(tmp_path / "a", SLICE)
    dicom(tmp_path / "b", SLICE, RescaleIntercept=0)
    items, _, _, scan = read(tmp_path)
    assert (scan.numbers, scan.slope, scan.intercept) == ("int32", 1.0, 0.0)
    np.testing.assert_array_equal(items[0].data[0], SLICE.astype(int) - 1024)
    dicom(tmp_path / "c", SLICE, RescaleSlope=0.1)
    items, _, notes, scan = read(tmp_path)
    assert scan.numbers == "float32"
    assert "values are kept as floating-point numbers of 32 bits" in notes
    np.testing.assert_allclose(items[2].data[0], SLICE * 0.1 - 1024, rtol=1e-6)


def test_volumes_from_slices(tmp_path: Path) -> None:
    """Asked for: by series, in the order of their places, spacing from these; also from a zip."""
    series(tmp_path / "one", VOLUME, step=2.5)
    series(tmp_path / "two", VOLUME[::-1], uid=f"{UID}.2", step=2.5)
    items, rejected, notes, scan = read(tmp_path, volume=True)
    assert rejected == {}
    np.testing.assert_array_equal([item.data[0] for item in items], [VOLUME, VOLUME[::-1]])
    assert (scan.spacing, scan.volume) == ((2.5, 0.5, 0.25), True)
    assert "volumes are 6 x 8 x 10, 2.5 x 0.5 x 0.25 mm apart" in notes
    assert [item.label for item in items] == ["one", "two"]
    assert len(read(tmp_path)[0]) == 12  # else slices
    with ZipFile(tmp_path.with_suffix(".zip"), "w") as archive:
        for file in sorted(tmp_path.rglob("0*")):
            archive.write(file, file.relative_to(tmp_path))
    packed = read(tmp_path.with_suffix(".zip"), volume=True)[0]
    np.testing.assert_array_equal([item.data[0] for item in packed], [VOLUME, VOLUME[::-1]])
    assert [item.label for item in packed] == ["one", "two"]


def test_slices_without_places_go_by_number(tmp_path: Path) -> None:
    """Without a series by folder; the distance is what the header says of one slice."""
    for place, plane in enumerate(VOLUME):
        dicom(tmp_path / f"{9 - place}", plane, SeriesInstanceUID=None, ImagePositionPatient=None, InstanceNumber=place + 1,
              SpacingBetweenSlices=4)  # fmt: skip
    (item,), rejected, _, scan = read(tmp_path, volume=True)
    np.testing.assert_array_equal(item.data[0], VOLUME)
    assert (rejected, scan.spacing) == ({}, (4.0, 0.5, 0.25))
    dicom(tmp_path / "1", SLICE[:8, :10], SeriesInstanceUID=None, ImagePositionPatient=None)
    with pytest.raises(DataError, match="neither ImagePositionPatient nor InstanceNumber says where the slice belongs"):
        read(tmp_path, volume=True)


def test_volumes_that_lack_slices(tmp_path: Path) -> None:
    """A gap, several slices at one place, a slice alone, one that is damaged: none is made up, all are named."""
    series(tmp_path / "gap", VOLUME, uid=f"{UID}.1")
    (tmp_path / "gap" / "0001").unlink()
    series(tmp_path / "twice", VOLUME, uid=f"{UID}.2", step=0.0)
    series(tmp_path / "alone", VOLUME[:1], uid=f"{UID}.3")
    cut = series(tmp_path / "cut", VOLUME, uid=f"{UID}.4") / "0002"
    cut.write_bytes(cut.read_bytes()[:-20])
    series(tmp_path / "good", VOLUME, uid=f"{UID}.5")
    items, rejected, _, _ = read(tmp_path, volume=True)
    assert [item.label for item in items] == ["good"]
    assert rejected["gap/0000"] == "its series lacks slices: they are 2 to 4 apart"
    assert "several slices at one place" in rejected["twice/0003"]
    assert rejected["alone/0000"] == "a single slice, where volumes are read (modality.volume = false reads slices)"
    assert rejected["cut/0002"] == "damaged: it ends too early; the volume of its 6 slices is left out"
    assert rejected["cut/0003"] == "'cut/0002' of its series cannot be read"


def test_nifti_volumes_and_slices_of_them(tmp_path: Path) -> None:
    """Volumes by themselves; slices when asked for, empty ones left out; times are samples; a flipped one is turned."""
    padded = np.concatenate([np.zeros((1, 8, 10), np.int16), VOLUME])
    nifti(tmp_path / "a.nii.gz", padded, (3.0, 2.0, 1.0))
    items, _, _, scan = read(tmp_path)
    np.testing.assert_array_equal(items[0].data[0], padded)
    assert (scan.spacing, scan.volume) == ((3.0, 2.0, 1.0), True)
    items, _, notes, scan = read(tmp_path, volume=False)
    assert [item.source for item in items] == [f"a.nii.gz#{number}" for number in range(2, 8)]
    assert "slices of one value throughout are left out" in notes
    turned = nibabel.Nifti1Image(padded.transpose(1, 2, 0)[:, ::-1], np.array(
        [[0, 1, 0, 0], [-2, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]], dtype=float))  # fmt: skip
    nibabel.save(turned, tmp_path / "b.nii")
    items, _, _, _ = read(tmp_path)
    np.testing.assert_array_equal(items[0].data, items[1].data)
    times = nifti(tmp_path / "times" / "c.nii", np.stack([VOLUME, VOLUME + 1]))
    np.testing.assert_array_equal([item.data[0] for item in read(times)[0]], [VOLUME, VOLUME + 1])


def test_sizes(tmp_path: Path) -> None:
    """Smaller by means over areas, larger by lines between voxels; the spacing follows, and so does what is said."""
    ramp = np.broadcast_to(4 * np.arange(96, dtype=np.int16), (48, 96)).copy()
    dicom(tmp_path / "a" / "1", ramp)
    dicom(tmp_path / "a" / "2", ramp[:, ::-1])
    items, _, notes, scan = read(tmp_path / "a")
    assert items[0].data.shape == (1, 32, 64)
    assert "slices of 48 x 96 are resampled to 32 x 64, all that they show, 0.75 x 0.375 mm apart" in notes
    items, _, _, scan = read(tmp_path / "a", size=48)
    np.testing.assert_array_equal(items[0].data[0, 0], np.arange(2, 4 * 96, 8))
    assert scan.spacing == (1.0, 1.0, 0.5)
    items, _, _, scan = read(tmp_path / "a", size=(96, 192))
    assert scan.spacing == (1.0, 0.25, 0.125)
    np.testing.assert_array_equal(items[0].data[0, 0, 1:-1], np.arange(1, 4 * 95, 2))
    nifti(tmp_path / "v" / "a.nii", RNG.integers(0, 99, (24, 96, 128), dtype=np.int16), (2.0, 2.0, 2.0))
    items, _, notes, scan = read(tmp_path / "v")
    assert (items[0].data.shape, scan.spacing) == ((1, 8, 24, 32), (6.0, 8.0, 8.0))
    dicom(tmp_path / "a" / "3", ramp, PixelSpacing=[1, 1])
    assert "1 of another spacing, which is not kept" in read(tmp_path / "a")[2]
    with pytest.raises(ConfigError, match=r"data.size = \[8, 8, 8\]: expected the longest side, or \[height, width\]"):
        read(tmp_path / "a", size=(8, 8, 8), volume=False)
    with pytest.raises(ConfigError, match="channels = 3: scans have 1"):
        read(tmp_path / "a", channels=3)


@pytest.mark.parametrize(("files", "kind"), [
    (["a.dcm"], "scan"), (["a.nii.gz"], "scan"), (["IM0001"], "scan"), (["1.2.840.113"], "scan"),
    (["a.dcm", "a.png", "b.png"], "image"), (["a.csv", "a.nii"], "scan"),
])  # fmt: skip
def test_what_a_folder_holds(tmp_path: Path, files: list[str], kind: str) -> None:
    """By names, and of files without any by their content."""
    for name in files:
        if ".nii" in name:
            nifti(tmp_path / name, VOLUME)
        elif name.endswith(".png"):
            Pillow.new("L", (8, 8)).save(tmp_path / name)
        elif name.endswith(".csv"):
            (tmp_path / name).write_text("file_name,text\na.nii,a head\n")
        else:
            dicom(tmp_path / name, SLICE)
    assert kind_of(apply_settings(RunConfig(), [f"data.path={str(tmp_path)!r}"]))["name"] == kind


# ---------------------------------------------------------------------------------------------------------- bad input


def test_bad_files_are_named(tmp_path: Path) -> None:
    """Nothing ends the reading, nothing is changed unsaid."""
    good = nifti(tmp_path / "good.nii.gz", VOLUME)
    whole, packed = nifti(tmp_path / "whole.nii", VOLUME).read_bytes(), good.read_bytes()
    for name, content in {
        "empty.nii": b"", "empty.dcm": b"", "text.nii.gz": b"not packed at all", "notes.pdf": b"%PDF",
        "cut.nii": whole[:700], "cut.nii.gz": packed[: len(packed) // 2], "header.nii": whole[:348],
        "text2.nii.gz": gzip.compress(b"no scan" * 99),
        "pair.hdr": whole[:344] + b"ni1\0" + whole[348:352], "cut.dcm": dicom(tmp_path / "x", SLICE).read_bytes()[:-30],
        "torn.dcm": (tmp_path / "x").read_bytes()[:300], "wrong.dcm": whole,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    (tmp_path / "x").unlink()
    nifti(tmp_path / "nan.nii", np.where(VOLUME > 0, VOLUME, np.nan).astype(np.float32))
    nifti(tmp_path / "flat.nii", np.full((6, 8, 10), 7, np.int16))
    nifti(tmp_path / "single.nii", VOLUME[:1])
    nifti(tmp_path / "complex.nii", VOLUME.astype(np.complex64))
    nifti(tmp_path / "five.nii", np.zeros((3, 1, 6, 8, 10), np.int16))
    dicom(tmp_path / "rgb.dcm", SLICE, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    dicom(tmp_path / "slope.dcm", SLICE, RescaleSlope=0)
    items, rejected, _, _ = read(tmp_path)
    assert {item.source for item in items} == {"good.nii.gz", "whole.nii", "wrong.dcm"}
    assert rejected["empty.nii"] == rejected["empty.dcm"] == "an empty file"
    assert rejected["nan.nii"] == "it holds values that are no numbers"
    assert rejected["flat.nii"] == "every value is 7: there is nothing in it"
    assert rejected["single.nii"].startswith("a single slice, where volumes are read")
    assert rejected["notes.pdf"] == "neither DICOM nor NIfTI"
    assert rejected["complex.nii"] == "complex64 numbers, where grey values are read"
    assert rejected["pair.hdr"].startswith("a header whose values lie in another file")
    assert rejected["slope.dcm"].startswith("RescaleSlope is 0")
    for name in ("text.nii.gz", "text2.nii.gz"):
        assert rejected[name] == "neither DICOM nor NIfTI, whatever its name says, or damaged"
    for name in ("cut.nii", "cut.nii.gz", "header.nii", "cut.dcm", "torn.dcm", "five.nii", "rgb.dcm"):
        assert rejected[name]


@pytest.mark.parametrize("seed", range(40))
def test_damaged_headers_are_no_tracebacks(seed: int, tmp_path: Path) -> None:
    """Random bytes over any part of a file: it is read, or rejected with a reason."""
    rng = np.random.default_rng(seed)
    for name, make in (("a.nii", nifti), ("b.dcm", dicom)):
        content = bytearray(make(tmp_path / name, VOLUME if make is nifti else SLICE).read_bytes())
        places = rng.integers(132 if make is dicom else 0, min(len(content), 900), 8)
        for place in places:
            content[place] = rng.integers(256)
        (tmp_path / name).write_bytes(content)
    nifti(tmp_path / "good.nii", VOLUME)
    items, rejected, _, _ = read(tmp_path, size=8)
    assert any(item.source.startswith("good") for item in items) or "good.nii" in rejected
    assert all("\n" not in reason for reason in rejected.values())


def test_a_deflated_file_is_measured_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pydicom, which unpacks it whole."""
    monkeypatch.setattr(dicom_files, "LARGEST", 1 << 20)
    whole = pydicom.dcmread(dicom(tmp_path / "b.dcm", np.zeros((2048, 4096), np.int16)))
    whole.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    whole.save_as(tmp_path / "a.dcm")
    tracemalloc.start()
    with (tmp_path / "a.dcm").open("rb") as stream, pytest.raises(RefusedError, match=r"deflated, .* without compression"):
        dicom_files.open_dicom(stream)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 4 << 20


@pytest.mark.parametrize(("name", "why"), [("more", "ends too early"), ("far", "ends too early|out of proportion")])
def test_what_a_nifti_header_promises_is_not_believed(tmp_path: Path, name: str, why: str) -> None:
    """More values than so few bytes can hold; extensions of 32 MB each, of which none is read; values far behind."""
    head = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header
    head.set_data_shape((400, 400, 400))
    head["magic"], head["vox_offset"] = b"n+1", 352 if name == "more" else 2.0**40
    extension = np.array([1 << 25, 6], "<i4").tobytes() + bytes((1 << 25) - 8)
    content = head.binaryblock + (bytes(4) if name == "more" else b"\1\0\0\0" + 2 * extension)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content, 9))
    tracemalloc.start()
    with pytest.raises(DataError, match=why):
        read(tmp_path / "a.nii.gz")
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 8 << 20


def test_nothing_to_see_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds no scan that can be read .* 'a.dcm': an empty file"):
        read(tmp_path)
    with pytest.raises(DataError, match="There is no"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="a single slice, where volumes are read"):
        read(dicom(tmp_path / "b" / "1", SLICE), volume=True)
    with pytest.raises(DataError, match=r"'flat\.nii': every value is 0"):
        read(nifti(tmp_path / "flat.nii", np.zeros((4, 8, 8), np.int16)))
    with pytest.raises(ConfigError, match=r"modality\.window = \[40, -1\]: expected centre and width"):
        Scan(window=(40, -1))
    with pytest.raises(ConfigError, match="learned from the data"):
        Scan(slope=0.0)


def test_folders_named_after_patients_are_no_labels(tmp_path: Path) -> None:
    """Names and numbers, however they are written; the label would stand in the model's file."""
    for folder in ("quillfeather_o", "PID77310942", "x-ottoline"):
        dicom(tmp_path / folder / "a", SLICE)
        dicom(tmp_path / folder / "b", SLICE, PatientName="", PatientID="")
        items, _, notes, _ = read(tmp_path)
        assert {item.label for item in items} == {None}, folder
        assert "folders are named after patients: they are no labels" in notes
        (tmp_path / folder / "a").unlink()
        assert {item.label for item in read(tmp_path)[0]} >= {folder}
        (tmp_path / folder / "b").unlink()


# ------------------------------------------------------------------------------------------------------------ writing

FLAT = Scan(window=(40.0, 400.0), numbers="int16", intercept=-1024.0, spacing=(1.0, 0.5, 0.25), volume=False)
SOLID = Scan(window=(0.0, 2000.0), numbers="int16", spacing=(3.0, 2.0, 1.0), volume=True)
CASES = [(FLAT, np.stack([SLICE, SLICE[::-1]])[:, None]), (SOLID, np.stack([VOLUME, VOLUME[::-1]])[:, None])]


@pytest.mark.parametrize(("scan", "stored"), CASES, ids=["slices", "volumes"])
@pytest.mark.parametrize("name", ["made", "all.nii", "all.nii.gz"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, scan: Scan, stored: np.ndarray) -> None:
    """Every value, spacing and window; in a folder labels too."""
    files = scan.write(scan.decode(stored), tmp_path / name, labels=["a", "b"])
    items, rejected, _, again = read(tmp_path / name)
    assert rejected == {}
    np.testing.assert_array_equal(np.stack([item.data for item in items]), stored)
    assert (again.window, again.intercept, again.numbers) == (scan.window, scan.intercept, scan.numbers)
    assert again.spacing[-2:] == scan.spacing[-2:]
    if name == "made":
        assert [file.name for file in files] == ["000000.nii.gz", "000001.nii.gz", "metadata.jsonl"]
        assert [item.label for item in items] == ["a", "b"]
    before = files[0].read_bytes()
    assert scan.write(scan.decode(stored), tmp_path / name, labels=["a", "b"])[0].read_bytes() == before


@pytest.mark.parametrize(("scan", "stored"), CASES, ids=["slices", "volumes"])
def test_dicom_is_whole_and_of_nobody(tmp_path: Path, scan: Scan, stored: np.ndarray) -> None:
    """A file a slice, a series a volume, as pydicom reads it; twice the same bytes."""
    files = scan.write(scan.decode(stored), tmp_path / "a.dcm")
    assert len(files) == stored[:, 0].size // (stored.shape[-1] * stored.shape[-2])
    assert files[0].name == ("a-000000.dcm" if stored.ndim == 4 else "a-000000-0000.dcm")
    one = pydicom.dcmread(files[1])
    assert (one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientIdentityRemoved) == ("", "", "", "YES")
    assert (float(one.WindowCenter), float(one.WindowWidth)) == scan.window
    for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "ConversionType", "Modality"):
        assert one[name].value
    items, rejected, _, again = read(tmp_path, volume=stored.ndim == 5)
    np.testing.assert_array_equal(np.stack([item.data for item in items]), stored)
    assert (rejected, again.spacing, again.intercept) == ({}, scan.spacing, scan.intercept)
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in scan.write(scan.decode(stored), tmp_path / "a.dcm")] == before


def test_stills_and_values(tmp_path: Path) -> None:
    """What the window shows; Hounsfield units; what no format holds is refused."""
    for scan, stored in CASES:
        scan.write(scan.decode(stored), tmp_path / "all.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), stored.astype(int) * scan.slope + scan.intercept)
        scan.write(scan.decode(stored), tmp_path / "sheet.png", labels=["a", "b"])
        scan.journey([scan.decode(stored) * 3, scan.decode(stored)], tmp_path / "way.gif")
        with Pillow.open(tmp_path / "way.gif") as way:
            assert way.n_frames == 2  # type: ignore[attr-defined]
    shown = FLAT.pictures(np.array([[[[0, 864, 1064, 1264, 4000]]]], dtype=np.int16))[0]
    assert shown.tolist() == [[[0, 0, 128, 255, 255]]]
    bright = Scan(window=(40.0, 400.0), numbers="int16", intercept=-1024.0, inverted=True)
    assert bright.pictures(np.array([[[[864, 1264]]]], dtype=np.int16))[0].tolist() == [[[255, 0]]]
    x = FLAT.decode(CASES[0][1])
    assert FLAT.write(x[:1], tmp_path / "one.dcm") == [tmp_path / "one.dcm"]
    with pytest.raises(UserError, match=r"Cannot write scans as 'a\.wav'"):
        FLAT.write(x, tmp_path / "a.wav")
    with pytest.raises(UserError, match="no samples"):
        FLAT.write(x[:0], tmp_path / "b.nii")
    with pytest.raises(UserError, match=r"DICOM holds whole numbers of 16 bits.*write \.nii\.gz or \.npy"):
        Scan(window=(0, 2), numbers="float32").write(x, tmp_path / "c.dcm")
    wide = Scan(window=(0.0, 2.0), numbers="int32")
    values = np.array([[[[-50_000, 10_000]]]])
    wide.write(wide.decode(values), tmp_path / "wide" / "d.dcm")
    np.testing.assert_array_equal(values_of(tmp_path / "wide" / "d.dcm"), values)


def test_outputs_hold_no_header(tmp_path: Path) -> None:
    """Nothing of a patient in anything written from samples, and the search for it finds what is there."""
    dicom(tmp_path / "in" / "a", SLICE)
    items, _, _, scan = read(tmp_path / "in")
    x = scan.decode(items[0].data[None])
    for name in ("a.nii", "a.nii.gz", "a.dcm", "a.png", "a.npy", "folder"):
        scan.write(x, tmp_path / "out" / name, labels=["b"])
    assert holding(tmp_path / "in", *PATIENT.values(), UID)
    assert not holding(tmp_path / "out", *PATIENT.values(), UID)
    copy(tmp_path / "in" / "a", tmp_path / "out" / "a")
    assert holding(tmp_path / "out", *PATIENT.values()) == [str(tmp_path / "out" / "a")]
