"""Sound files of every format that is read, each small."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.case import Case

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".tif": "TIFF", ".ppm": "PPM"}
TAG = 0x010E


def pixels(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


@cache
def picture(suffix: str = ".png", mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels(12, 9, 4)).convert(mode).save(stream, PICTURES[suffix])
    return stream.getvalue()


def pictures() -> Iterator[Case]:
    """Of all formats and of the odder modes, with metadata, and as arrays."""
    for suffix in PICTURES:
        yield Case(suffix, picture(suffix))
    for mode, suffix in (("1", ".png"), ("P", ".png"), ("RGBA", ".webp"), ("CMYK", ".tif"), ("LA", ".png"), ("L", ".jpg")):
        yield Case(suffix, picture(suffix, mode))
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[TAG] = 6, "a tree"
    Image.fromarray(pixels(12, 9, 3)).save(stream, "JPEG", exif=exif, comment=b"by nobody")
    yield Case(".jpg", stream.getvalue())
    for compression in ("tiff_lzw", "jpeg"):
        stream = io.BytesIO()
        Image.fromarray(pixels(12, 9, 3)).save(stream, "TIFF", compression=compression)
        yield Case(".tif", stream.getvalue())
    stream = io.BytesIO()
    Image.fromarray(pixels(12, 9).astype(np.uint16) * 250).save(stream, "PNG")
    yield Case(".png", stream.getvalue())
    yield from (Case(".npy", npy(one)) for one in (pixels(12, 9, 3), pixels(9, 8) / 255))


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def arrays() -> Iterator[Case]:
    """Of many pictures."""
    many = pixels(6, 5, 4)
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", *many.shape) + many.tobytes()
    yield from (Case("-idx3-ubyte", idx), Case("-idx3-ubyte.gz", gzip.compress(idx)))
    yield from (Case(".npy", npy(many)), Case(".npy", npy(np.asfortranarray(many / 255.0))))
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, images=many, labels=np.arange(6) % 3)
        yield Case(".npz", stream.getvalue())


def members() -> dict[str, bytes]:
    """Of an archive: pictures with labels, captions and tables of them."""
    return {
        "cat/1.png": picture(), "cat/1.txt": b"a cat", "dog/2.jpg": picture(".jpg"), "dog/2.json": b'{"caption": "a dog"}',
        "dog/2.cls": b"1", "metadata.jsonl": b'{"file_name": "cat/1.png", "text": "so"}\n',
    }  # fmt: skip


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return stream.getvalue()


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return stream.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes, ".tgz": gzip.compress, ".tar.bz2": bz2.compress, ".tar.xz": lzma.compress,
}  # fmt: skip


def archives() -> Iterator[Case]:
    files = members()
    yield from (Case(".zip", zipped(files, how)) for how in (0, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    yield from (Case(suffix, pack(tarred(files, {"link.png": "/etc/passwd"}))) for suffix, pack in PACKERS.items())


def parquet(columns: dict[str, Any], **how: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as files

    stream = io.BytesIO()
    files.write_table(pa.table(columns), stream, **how)
    return stream.getvalue()


def tables() -> Iterator[Case]:
    """With a column of pictures."""
    import pyarrow as pa
    from pyarrow import ipc

    columns: dict[str, Any] = {"image": [picture()] * 3, "label": [0, 1, 2], "caption": ["one", "two", "three"]}
    yield Case(".parquet", parquet(columns))
    nested = [{"bytes": picture(".jpg"), "path": "../../secret"}, {"bytes": None, "path": "/etc/passwd"}]
    yield Case(".parquet", parquet({"image": nested, "label": ["a", "b"]}, compression="gzip"))
    for make in (ipc.new_stream, ipc.new_file):
        stream = io.BytesIO()
        with make(stream, pa.table(columns).schema) as writer:
            writer.write_table(pa.table(columns))
        yield Case(".arrow", stream.getvalue())


def series() -> Iterator[Case]:
    rows = [(f"2024-01-{day:02d}", 100 + day, round(day**0.5, 3), "up" if day % 2 else "down") for day in range(1, 25)]
    head = ("date", "price", "root", "way")
    for separator in ",;\t":
        text = "\n".join(separator.join(map(str, row)) for row in (head, *rows))
        text = text.replace(".", ",") if separator == ";" else text
        yield Case(".tsv" if separator == "\t" else ".csv", text.encode())
        yield Case(".csv.gz", gzip.compress(text.encode()))
    quoted = "\r\n".join(f'"{date}","{price}",{root},"{way}"' for date, price, root, way in rows)
    yield Case(".csv", b"\xef\xbb\xbf" + quoted.encode())
    yield Case(".csv", "\n".join(["shop,day,n", *(f"{'ab'[k // 12]},{k % 12},{k * k}" for k in range(24))]).encode())
    columns = {name: [row[place] for row in rows] for place, name in enumerate(head)}
    yield from (Case(".parquet", parquet(columns, compression=how)) for how in ("snappy", "none"))


def texts() -> Iterator[Case]:
    poem = "Der Mond ist aufgegangen,\nDie goldnen Sternlein prangen\n\nAm Himmel hell und klar; 月 ☾.\n"
    yield from (Case(suffix, poem.encode()) for suffix in (".txt", ".md"))
    yield Case(".txt", "%\n".join([poem] * 3).encode())
    lines = [{"text": "one", "label": "a"}, {"text": "two\nlines", "label": 3}, "three"]
    yield Case(".jsonl", "\n".join(map(json.dumps, lines)).encode())
    pairs = [{"question": f"what is {k}?", "answer": f"{k} it is"} for k in range(3)]
    yield Case(".jsonl", "\n".join(map(json.dumps, pairs)).encode())


def companions() -> Iterator[Case]:
    """Tables that stand beside pictures."""
    rows = [{"file_name": "a.png", "text": "one", "label": 1}, {"file_name": "./b.png", "text": ["two", "three"]}]
    yield Case("metadata.jsonl", "\n".join(map(json.dumps, rows)).encode())
    yield Case("metadata.csv", b"file_name,caption,label\na.png,\"one, two\",x\nb.png,three,y\n")
    yield Case("a.txt", b"one\ntwo\n")


def sounds() -> Iterator[Case]:
    from pellucid.core.optional import optional

    soundfile = optional("soundfile", "Sound", "sound")

    wave = 0.5 * np.sin(np.arange(2000) / 9)
    for suffix, kind, how in (
        (".wav", "WAV", "PCM_16"), (".wav", "WAV", "FLOAT"), (".wav", "WAVEX", "PCM_24"), (".flac", "FLAC", "PCM_16"),
        (".ogg", "OGG", "VORBIS"), (".opus", "OGG", "OPUS"), (".mp3", "MP3", "MPEG_LAYER_III"), (".aiff", "AIFF", "PCM_16"),
        (".au", "AU", "ULAW"), (".w64", "W64", "PCM_16"), (".wav", "WAV", "IMA_ADPCM"), (".wav", "RF64", "DOUBLE"),
    ):  # fmt: skip
        stream = io.BytesIO()
        soundfile.write(stream, np.stack([wave, wave], 1), 8000, format=kind, subtype=how)
        yield Case(suffix, stream.getvalue())


def films() -> Iterator[Case]:
    frames = [Image.fromarray(pixels(16, 16, 3) // (k + 1)) for k in range(6)]
    for suffix, kind in ((".gif", "GIF"), (".webp", "WEBP"), (".png", "PNG")):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=100)
        yield Case(suffix, stream.getvalue())
    from pellucid.core.optional import optional

    av = optional("av", "Video", "video")

    for suffix, kind, codec in ((".mp4", "mp4", "mpeg4"), (".webm", "webm", "libvpx"), (".mkv", "matroska", "mjpeg"),
                                (".avi", "avi", "mpeg4"), (".mpg", "mpeg", "mpeg1video")):  # fmt: skip
        stream = io.BytesIO()
        with av.open(stream, "w", format=kind) as container:
            out: Any = container.add_stream(codec, rate=24)
            out.width, out.height, out.pix_fmt = 16, 16, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for frame in frames:
                container.mux(out.encode(av.VideoFrame.from_image(frame)))
            container.mux(out.encode(None))
        yield Case(suffix, stream.getvalue())


def scans(folder: Path) -> Iterator[Case]:
    from pellucid.core.optional import optional

    nibabel, pydicom = (optional(name, "A scan", "medical") for name in ("nibabel", "pydicom"))

    values = pixels(8, 7).astype(np.uint16)
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    facts = {
        "PatientName": "Nobody", "SeriesInstanceUID": "1.2.3", "Modality": "CT", "Rows": 8, "Columns": 7, "HighBit": 15,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1024, "PixelSpacing": [0.5, 0.25],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0], "WindowCenter": 40,
        "WindowWidth": 80,
    }  # fmt: skip
    for name, value in facts.items():
        setattr(made, name, value)
    made.PixelData = values.tobytes()
    made.save_as(folder / "a.dcm", enforce_file_format=True)
    yield Case(".dcm", (folder / "a.dcm").read_bytes())
    for suffix, kind in ((".nii", nibabel.Nifti1Image), (".nii.gz", nibabel.Nifti1Image), (".nii", nibabel.Nifti2Image)):
        nibabel.save(kind(pixels(6, 5, 4), np.eye(4)), folder / f"a{suffix}")
        yield Case(suffix, (folder / f"a{suffix}").read_bytes())
