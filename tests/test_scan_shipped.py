"""Medical images that come with pydicom and nibabel: every value comes through, and everything else has a reason."""

from pathlib import Path

import numpy as np
import pytest

from pellucid.core.errors import UserError
from pellucid.modalities.scan import Scan
from pellucid.modalities.write_scan import write_dicom, write_nifti
from scan_files import NIBABEL, PYDICOM, read, values_of

WHOLE = [
    *(PYDICOM / name for name in (
        "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_padded.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm",
        "examples_overlay.dcm", "image_dfl.dcm", "liver_1frame.dcm", "liver_expb_1frame.dcm", "rtdose.dcm",
        "rtdose_expb.dcm", "rtdose_rle.dcm", "rtdose_1frame.dcm", "dicomdirtests/77654033/CR1/6154",
        "dicomdirtests/77654033/CT2/17106",
        "dicomdirtests/98892003/MR1/15820",
    )),
    *(NIBABEL / name for name in (
        "0.dcm", "anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii", "standard.nii.gz",
        "reoriented_anat_moved.nii",
    )),
]  # fmt: skip


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_every_value_comes_through(path: Path, tmp_path: Path) -> None:
    """Read, to the model's range and back, written as NIfTI and DICOM and read again: each value as pydicom or nibabel has
    it. Whole numbers to the bit, floating-point ones through the model's range to its precision.
    """
    expected = values_of(path)
    items, rejected, _, scan = read(path, size=expected.shape[1 if expected.shape[1] > 1 else 2 :])
    stored = np.stack([item.data for item in items])
    assert rejected == {}
    values = scan.counts.values(stored).reshape(expected.shape)
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=0)
    back = scan.encode(scan.decode(stored))
    if scan.counts.whole:
        np.testing.assert_array_equal(back, stored)
        exact = stored.astype(np.float64) * scan.slope + scan.intercept
        np.testing.assert_array_equal(exact, expected.reshape(stored.shape))
    else:
        np.testing.assert_allclose(back, stored, rtol=0, atol=1e-6 * np.ptp(stored))
    one = stored[0, 0].reshape(1, *expected.shape[1:])
    again = _written(scan, stored[:1], one, tmp_path)
    for values, spacing in again:
        np.testing.assert_allclose(values, expected[:1], rtol=1e-7, atol=0)
        np.testing.assert_allclose(spacing[-2:], scan.spacing[-2:], rtol=1e-6)


def _written(scan: Scan, stored: np.ndarray, solid: np.ndarray, folder: Path) -> list[tuple[np.ndarray, tuple[float, ...]]]:
    """Values and spacing of what was written of stored numbers, as they are read again."""
    write_nifti(folder / "a.nii.gz", solid, scan.counts, scan.spacing, None)
    found = [folder / "a.nii.gz"]
    files = [folder / "dicom" / f"{place}.dcm" for place in range(len(solid[0]))]
    if np.ptp(solid) < 1 << 16 and scan.counts.whole:
        write_dicom(files, solid[0], scan.counts, scan.spacing, None, inverted=scan.inverted)
        found.append(folder / "dicom")
    else:
        with pytest.raises(UserError, match="DICOM holds whole numbers of 16 bits"):
            write_dicom(files, solid[0], scan.counts, scan.spacing, None)
    read_again = []
    for path in found:
        settings = {"volume": True} if stored.ndim == 5 else {}
        items, rejected, _, learned = read(path, size=stored.shape[2:], **settings)
        assert rejected == {}
        values = learned.counts.values(np.stack([item.data for item in items]))
        read_again.append((values.reshape(1, *solid.shape[1:]), learned.spacing))
    return read_again


def test_everything_else_that_pydicom_ships_has_a_reason() -> None:
    """Colours, reports, plans, damaged and unreadable compressions: a sentence each, never a traceback."""
    _, rejected, _, _ = read(PYDICOM, size=16, volume=False)
    assert len(rejected) > 50
    assert all(len(reason) > 10 and "\n" not in reason and "Traceback" not in reason for reason in rejected.values())
    for name, words in {
        "SC_rgb_rle.dcm": "colours (RGB)", "examples_palette.dcm": "colours (PALETTE COLOR)",
        "test-SR.dcm": "no picture in it", "MR_truncated.dcm": "damaged: it ends too early",
        "no_meta.dcm": "neither DICOM nor NIfTI, whatever its name says",
        "MR_small_jpeg_ls_lossless.dcm": "compressed in a way that is not read here (JPEG-LS Lossless",
        "badVR.dcm": "damaged: ", "README.txt": "neither DICOM nor NIfTI", "dicomdirtests/77654033/CR1/6154": "low values",
    }.items():  # fmt: skip
        assert words in rejected[name], rejected[name]
