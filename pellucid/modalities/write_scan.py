"""Scans as files that other programs open: NIfTI, and DICOM without a patient."""

import gzip
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.core.optional import optional
from pellucid.modalities.counts import Counts
from pellucid.modalities.scanned import Triple

SLOPE = 112
"""Where slope and intercept stand in a NIfTI header."""
MADE = "made by a model, of no patient"
BITS = 16
EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "PositionReferenceIndicator", "PatientOrientation",
)  # fmt: skip
"""What the standard wants to be there, though it may be empty."""
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def write_nifti(
    path: Path, stored: NDArray[Any], counts: Counts, spacing: Triple, window: tuple[float, float] | None
) -> None:
    """Samples (N, depth, height, width) as one file with N times, whole or not at all; packed where the name ends in .gz.

    Raises:
        UserError: the path cannot be written, or a side too long for the format.
    """
    nibabel = optional("nibabel", "NIfTI", "medical")
    depth, height, width = spacing
    numbers = stored.T if len(stored) > 1 else stored[0].T
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(stored.dtype)
    try:
        picture = nibabel.Nifti1Image(numbers, np.diag([-width, -height, depth, 1.0]), header)
    except nibabel.spatialimages.HeaderDataError as error:
        raise UserError(f"Cannot write '{path}': {error}") from None
    picture.header.set_xyzt_units("mm")
    picture.header["descrip"] = MADE.encode()
    if window is not None:
        picture.header["cal_min"], picture.header["cal_max"] = window[0] - window[1] / 2, window[0] + window[1] / 2
    content = bytearray(picture.to_bytes())
    struct.pack_into("<2f", content, SLOPE, counts.slope, counts.intercept)  # as they are: nibabel would choose its own
    with atomic_write(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)


def write_dicom(
    files: list[Path], volume: NDArray[Any], counts: Counts, spacing: Triple, window: tuple[float, float] | None, *,
    inverted: bool = False,
) -> None:
    """A volume (depth, height, width), a file a slice, each whole or not at all: secondary captures of one series, with
    identifiers that follow from their content.

    Raises:
        UserError: a path cannot be written, or values that 16 bits cannot hold.
    """
    if volume.dtype.kind == "f" or int(volume.max()) - int(volume.min()) >= 1 << BITS:
        raise UserError(f"DICOM holds whole numbers of {BITS} bits, these are {volume.dtype.name} from {volume.min():g} to "
                        f"{volume.max():g}: write .nii.gz or .npy")  # fmt: skip
    least = 0 if volume.dtype == np.int16 else int(volume.min())
    numbers = volume if volume.dtype == np.int16 else (volume - least).astype(np.uint16)
    content = sha256(numbers.tobytes() + repr((volume.shape, counts, spacing)).encode()).hexdigest()
    for place, (file, plane) in enumerate(zip(files, numbers, strict=True)):
        made = _captured(content, place, plane, spacing)
        made.RescaleSlope, made.RescaleIntercept = _decimal(counts.slope), _decimal(counts.value(least))
        made.RescaleType = "US"  # unspecified
        made.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
        if window is not None:
            made.WindowCenter, made.WindowWidth = map(_decimal, window)
        with atomic_write(file) as temporary:
            made.save_as(temporary, enforce_file_format=True)


def _captured(content: str, place: int, plane: NDArray[Any], spacing: Triple) -> Any:
    """A data set with what the standard wants of every secondary capture, and the place of the slice in its volume."""
    pydicom, depth = optional("pydicom", "DICOM", "medical"), spacing[0]

    def identifier(*words: str) -> str:
        return str(pydicom.uid.generate_uid(entropy_srcs=[content, *words]))

    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = SECONDARY_CAPTURE, identifier("slice", str(place))
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = identifier("study"), identifier("series")
    made.FrameOfReferenceUID = identifier("frame")
    for name in EMPTY:
        setattr(made, name, "")
    made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", MADE
    made.Modality, made.ConversionType, made.ImageType = "OT", "SYN", ["DERIVED", "SECONDARY"]
    made.SeriesDescription, made.BurnedInAnnotation = MADE, "NO"
    made.SeriesNumber, made.InstanceNumber = 1, place + 1
    made.PixelSpacing, made.SpacingBetweenSlices = list(map(_decimal, spacing[1:])), _decimal(depth)
    made.SliceThickness = _decimal(depth)
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, _decimal(place * depth)]
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.BitsAllocated, made.BitsStored, made.HighBit = 1, BITS, BITS, BITS - 1
    made.PixelRepresentation = int(plane.dtype.kind == "i")
    made.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    return made


def _decimal(number: float) -> Any:
    """As DICOM writes it, in 16 letters at most."""
    return optional("pydicom", "DICOM", "medical").valuerep.DSfloat(float(number), auto_format=True)
