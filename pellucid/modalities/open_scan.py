"""From an entry to the scan in it: DICOM or NIfTI, told apart by their content, since DICOM files often have no suffix."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pellucid.modalities.dicom import open_dicom
from pellucid.modalities.nifti import HEAD, is_nifti, open_nifti, unpacked
from pellucid.modalities.scanned import Scanned
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError, reason

SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz")
KINDS = "DICOM, with or without a suffix, and .nii, .nii.gz"
DICOM, WHERE = b"DICM", 128


def is_scan(path: Path) -> bool:
    """Whether a file is a scan by its name, or, where that has no suffix that is a word, by its first bytes."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    if path.suffix.lstrip(".").isalpha():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(WHERE + 4)[WHERE:] == DICOM
    except OSError:
        return False


@contextmanager
def open_scan(entry: Entry) -> Iterator[Scanned]:
    """The scan of an entry, its header read, its values not yet.

    Raises:
        Exception: any, when it is damaged or not wanted; `why` has the words.
    """
    with entry.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd headers
        head = stream.read(WHERE + 4)
        if not head:
            raise RefusedError("an empty file")
        if head[WHERE:] == DICOM:
            yield open_dicom(stream)
            return
        with unpacked(stream) as plain:
            head = plain.read(HEAD)
            if not is_nifti(head):
                named = entry.name.lower().endswith(SUFFIXES)
                raise RefusedError("neither DICOM nor NIfTI" + (", whatever its name says, or damaged" if named else ""))
            yield open_nifti(plain, head)


def why(error: Exception) -> str:
    """Why a scan was rejected, in words for the user."""
    return reason(error).partition("\n")[0]
