"""DICOM files as scans: grey values of one frame or many. Of their headers only what is named here is read."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import UserError
from pellucid.core.optional import optional
from pellucid.modalities.scanned import Scanned, Triple
from pellucid.sources.limits import LARGEST, too_large
from pellucid.sources.refused import RefusedError

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
GEOMETRY = (
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "GridFrameOffsetVector", "ImagePositionPatient", "ImageOrientationPatient", "SeriesInstanceUID", "InstanceNumber",
)  # fmt: skip
LAYOUT = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
MEANING = ("RescaleSlope", "RescaleIntercept", "DoseGridScaling", "ModalityLUTSequence", "WindowCenter", "WindowWidth")
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
PEOPLE = ("PatientName", "PatientID")
QUOTE = "'"
GREY = ("MONOCHROME1", "MONOCHROME2")
MOST = 1 << 27
"""Values of one file."""
PREAMBLE, STEP = 132, 1 << 16


def open_dicom(stream: IO[bytes]) -> Scanned:
    """The scan in a DICOM file; its values are read when asked for.

    Raises:
        RefusedError: it is damaged or not wanted.
    """
    with _in_our_words():
        return _opened(stream)


def _opened(stream: IO[bytes]) -> Scanned:
    pydicom = optional("pydicom", "DICOM", "medical")
    _refuse_bomb(pydicom, stream)
    stream.seek(0)
    tags = [*GEOMETRY, *LAYOUT, *MEANING, *GROUPS]
    header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=[*tags, *PEOPLE])
    people = tuple(str(header.get(name, "") or "") for name in PEOPLE)
    rows, columns, frames = (_whole(header, name) for name in ("Rows", "Columns", "NumberOfFrames"))
    if not rows or not columns:
        raise RefusedError("no picture in it: a report, a plan, a directory or the like")
    _refuse(header)
    if rows * columns * max(1, frames) > MOST:
        raise RefusedError(f"more than {MOST:,} values")
    shape = 1, max(1, frames), rows, columns

    def load() -> NDArray[Any]:
        with _in_our_words():
            stream.seek(0)
            whole = pydicom.dcmread(stream, specific_tags=[*LAYOUT, *PIXELS])
            if not any(name in whole for name in PIXELS):
                raise RefusedError("a picture without pixels")
            return np.asarray(pydicom.pixels.pixel_array(whole)).reshape(shape)

    slope, intercept = _rescale(header)
    place, measured = _place(header)
    return Scanned(
        shape=shape, load=load, slope=slope, intercept=intercept, limits=_limits(header), spacing=_spacing(header),
        window=_window(header), inverted=header.PhotometricInterpretation == "MONOCHROME1",
        stack=_stack(header) if shape[1] == 1 else None, place=place, measured=measured, people=people,
    )  # fmt: skip


@contextmanager
def _in_our_words() -> Iterator[None]:
    """What pydicom says of a damaged file may quote its header, so it is said otherwise."""
    try:
        yield
    except (RefusedError, UserError):
        raise
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        said = str(error).partition("\n")[0]
        if isinstance(error, RuntimeError) and said.startswith("Unable to dec"):
            kind = f" ({said.split(QUOTE)[1]})" if QUOTE in said else ""
            told = f"damaged, or compressed in a way that is not read here{kind}: save it without compression"
        elif isinstance(error, EOFError) or "less than expected" in said:
            told = "damaged: it ends too early"
        else:
            told = "damaged: it is not as DICOM should be"
        raise RefusedError(told) from None


def _refuse_bomb(pydicom: Any, stream: IO[bytes]) -> None:
    """What is deflated as a whole, pydicom unpacks at once: it is done here before, not kept, to see how long it is."""
    stream.seek(PREAMBLE)
    head = pydicom.filereader.read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if head.get("TransferSyntaxUID") != pydicom.uid.DeflatedExplicitVRLittleEndian:
        return
    unpacking, size, packed = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
    while not unpacking.eof and (packed := unpacking.unconsumed_tail or stream.read(STEP)):
        size += len(unpacking.decompress(packed, STEP))
        if size > LARGEST:
            raise RefusedError(f"deflated, {too_large(size)}: save it without compression")


def _refuse(header: Any) -> None:
    kind = str(header.get("PhotometricInterpretation", "") or "")
    if kind not in GREY or (_whole(header, "SamplesPerPixel") or 1) != 1:
        raise RefusedError(f"colours ({kind or 'of no known kind'}), where grey values are read; as png they are pictures")
    if header.get("ModalityLUTSequence"):
        raise RefusedError("its values stand in a table (Modality LUT), where a slope and an intercept are read")


def _limits(header: Any) -> tuple[int, int] | None:
    """Of whole numbers as the header has them; FloatPixelData has 32 bits and no sign."""
    bits = _whole(header, "BitsStored") or _whole(header, "BitsAllocated")
    if "BitsStored" not in header or not bits:
        return None
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if header.get("PixelRepresentation") == 1 else (0, 2**bits - 1)


def _rescale(header: Any) -> tuple[float, float]:
    """Slope and intercept, which must be the same for all frames."""
    found = [(_number(item, "RescaleSlope"), _number(item, "RescaleIntercept"))
             for item in _groups(header, "PixelValueTransformationSequence")]  # fmt: skip
    if len(set(found)) > 1:
        raise RefusedError("its frames have slopes of their own")
    slope, intercept = found[0] if found else (_number(header, "RescaleSlope"), _number(header, "RescaleIntercept"))
    slope = _number(header, "DoseGridScaling") if slope is None else slope
    if slope == 0:
        raise RefusedError("RescaleSlope is 0: every value would be the same")
    return 1.0 if slope is None else slope, intercept or 0.0


def _window(header: Any) -> tuple[float, float] | None:
    """The first of several."""
    item = next(iter(_groups(header, "FrameVOILUTSequence")), header)
    centre, width = _number(item, "WindowCenter"), _number(item, "WindowWidth")
    return (centre, width) if centre is not None and width is not None and width > 0 else None


def _spacing(header: Any) -> Triple:
    item = next(iter(_groups(header, "PixelMeasuresSequence")), header)
    names = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    pairs = (_numbers(item, name) for name in names)
    height, width = next((pair for pair in pairs if len(pair) == 2 and min(pair) > 0), [1.0, 1.0])
    offsets = np.diff(_numbers(header, "GridFrameOffsetVector"))
    even = abs(float(offsets[0])) if len(offsets) and np.allclose(offsets, offsets[0], rtol=0.01) else None
    depths = (_number(item, "SpacingBetweenSlices"), even, _number(item, "SliceThickness"))
    return next((abs(depth) for depth in depths if depth), 1.0), height, width


def _stack(header: Any) -> tuple[Any, ...]:
    """Slices of one series, size and direction."""
    turned = tuple(round(number, 3) for number in _numbers(header, "ImageOrientationPatient"))
    return str(header.get("SeriesInstanceUID", "")), header.Rows, header.Columns, turned


def _place(header: Any) -> tuple[float | None, bool]:
    """In millimetres along the normal of the slice, else its number."""
    position, turned = _numbers(header, "ImagePositionPatient"), _numbers(header, "ImageOrientationPatient")
    if len(position) == 3 and len(turned) == 6:
        return float(np.dot(np.cross(turned[:3], turned[3:]), position)), True
    return _number(header, "InstanceNumber"), False


def _groups(header: Any, name: str) -> list[Any]:
    """The items of this name that many-framed files have for all frames, or else for each."""
    return [group[name].value[0] for groups in GROUPS for group in header.get(groups) or () if group.get(name)]


def _whole(header: Any, name: str) -> int:
    return int(header.get(name) or 0)


def _number(header: Any, name: str) -> float | None:
    """The first of several, if there are any and they are finite."""
    return next(iter(_numbers(header, name)), None)


def _numbers(header: Any, name: str) -> list[float]:
    value = header.get(name)
    if value is None or value == "":
        return []
    found = [float(part) for part in (value if not isinstance(value, str | int | float) else [value])]
    return found if np.isfinite(found).all() else []
