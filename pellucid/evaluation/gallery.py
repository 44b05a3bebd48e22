"""The pictures of a run, embedded: samples, journey and nearest training samples first and large, the others in a grid."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

from PIL import Image

from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.wording import size

FORMATS = {"PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
SUFFIXES = (".png", ".gif", ".webp")
FIRST = {"samples": "Samples", "journey": "From noise to sample", "nearest": "Nearest training samples"}
NEAREST = (
    "Samples beside the training samples closest to them. Relatives are what one hopes for; where both look the same, down "
    "to the detail, the model has not made that sample but remembered it."
)
EXAMPLES = "training"
"""The picture of examples, which is shown with the data."""
LARGEST = 16_000_000  # bytes of a picture that is embedded
SMALL = 500  # pixels; narrower pictures are enlarged, pixel by pixel


def gallery(folder: Path) -> list[Markup]:
    """One figure for each of the first pictures, then one section for the rest, from the files in `folder`."""
    files = [path for path in sorted(folder.glob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    first = [path for stem in FIRST for path in files if path.stem == stem]
    rest = [path for path in files if path not in first and path.stem != EXAMPLES]
    shown = [_first(path) for path in first]
    if rest:
        grid = tag("div", *(picture_of(path, caption=path.stem.replace("_", " ")) for path in rest), class_="grid")
        shown.append(tag("section", tag("h2", "More pictures"), grid))
    return shown


def _first(path: Path) -> Markup:
    note = tag("p", NEAREST, class_="note") if path.stem == "nearest" else None
    return tag("section", tag("h2", FIRST[path.stem]), picture_of(path), note, class_="hero")


def picture_of(path: Path, caption: str | None = None) -> Markup:
    """The picture with its size in pixels, so the page does not jump; or a sentence where that cannot be."""
    octets = path.read_bytes()
    if len(octets) > LARGEST:
        return tag("p", f"{path.name} ({size(len(octets))}) is too large to embed; it lies beside this page.", class_="note")
    try:
        with Image.open(BytesIO(octets), formats=list(FORMATS)) as picture:
            kind, (width, height) = FORMATS[str(picture.format)], picture.size
    except (OSError, Image.DecompressionBombError):
        return tag("p", f"{path.name} is not a picture that can be read.", class_="note")
    source = f"data:{kind};base64,{b64encode(octets).decode()}"
    image = tag(
        "img", src=source, alt=path.stem, width=width, height=height, class_="small" if width < SMALL else None
    )
    return tag("figure", image, tag("figcaption", caption) if caption else None)
