"""Scans for tests: small DICOM and NIfTI files of a made-up patient; values of any file as other libraries have them."""

import gzip
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid.core.items import Item, Origin, Rejection
from pellucid.modalities.scan import Scan

pydicom = pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"
PATIENT = {"PatientName": "Quillfeather^Ottoline", "PatientID": "PID-77310942", "PatientBirthDate": "19310417"}
UID = "1.2.826.0.1.3680043.8.498.77310942"


def dicom(path: Path, values: NDArray[Any], **header: Any) -> Path:
    """A CT slice with a patient: rows to the left, columns to the back; `header` changes it, None takes out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[str(path)])
    facts = {
        **PATIENT, "SeriesInstanceUID": UID, "Modality": "CT", "Rows": values.shape[-2], "Columns": values.shape[-1],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": int(values.dtype.kind == "i"), "RescaleSlope": 1, "RescaleIntercept": -1024,
        "PixelSpacing": [0.5, 0.25], "SliceThickness": 2, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0], "InstitutionName": "Quillfeather Hospital",
    }  # fmt: skip
    for name, value in {**facts, **header}.items():
        if value is not None:
            setattr(made, name, value)
    made.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    made.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, volume: NDArray[Any], uid: str = UID, step: float = 2.0) -> Path:
    """The slices of a volume (depth, height, width), their names in another order than their places."""
    for place, plane in enumerate(volume):
        name = f"{(7 * place) % len(volume):04d}"
        dicom(folder / name, plane, SeriesInstanceUID=uid, ImagePositionPatient=[0, 0, step * place], InstanceNumber=1)
    return folder


def nifti(path: Path, values: NDArray[Any], spacing: tuple[float, ...] = (1.0, 1.0, 1.0), **header: Any) -> Path:
    """A volume (depth, height, width), or times of it, as a file whose axes run to the left, to the back and upwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = nibabel.Nifti1Image(values.T, np.diag([-spacing[2], -spacing[1], spacing[0], 1.0]))
    for name, value in header.items():
        picture.header[name] = value
    nibabel.save(picture, path)
    return path


def read(path: Path, scan: Scan | None = None, **settings: Any) -> tuple[list[Item], dict[str, str], str, Scan]:
    """Items, reasons by name, notes, and the modality as it learned from them."""
    own = {key: settings.pop(key) for key in ("window", "volume") if key in settings}
    scan = scan or Scan(**own)
    records = list(scan.read(path, **settings))
    items = [one for one in records if isinstance(one, Item)]
    origins = [one for one in records if isinstance(one, Origin)]
    notes = "; ".join(note for one in origins for note in one.notes)
    learned = scan.learn(np.stack([item.data for item in items]), origins[0].details)
    return items, {one.source: one.reason for one in records if isinstance(one, Rejection)}, notes, Scan(**learned)


def values_of(path: Path) -> NDArray[np.float64]:
    """(samples, depth, height, width) as pydicom or nibabel have them, by slope and intercept, to the left, back and up."""
    if ".nii" in path.name:
        picture = nibabel.load(path)
        own = nibabel.orientations.io_orientation(picture.affine)
        turn = nibabel.orientations.ornt_transform(own, nibabel.orientations.axcodes2ornt("LPS"))
        turned = nibabel.orientations.apply_orientation(picture.get_fdata(), turn)
        return np.asarray((turned[..., None] if turned.ndim == 3 else turned).T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd headers
        whole = pydicom.dcmread(path)
        numbers = whole.pixel_array.astype(np.float64)
    slope, intercept = float(whole.get("RescaleSlope", 1)), float(whole.get("RescaleIntercept", 0))
    slope = float(whole.get("DoseGridScaling", slope))
    return (numbers * slope + intercept).reshape(1, -1, *numbers.shape[-2:])


def holding(folder: Path, *words: str) -> list[str]:
    """Files in a folder, packed ones unpacked, in whose bytes or names one of these words stands, as it is or otherwise."""
    marks = [form.encode() for word in words for form in {word, word.lower(), word.upper(), *word.split("^")}]
    found = []
    for path in (Path(top, name) for top, _, names in os.walk(folder) for name in names):
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        if any(mark in content + str(path.relative_to(folder)).encode() for mark in marks):
            found.append(str(path))
    return found
