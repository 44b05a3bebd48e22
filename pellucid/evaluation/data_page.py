"""One data set on one page: what `pellucid data show --out NAME.html` writes."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pellucid.core.files import atomic_write
from pellucid.data.pack import Pack
from pellucid.evaluation.contents import write_examples
from pellucid.evaluation.data_section import data_section
from pellucid.evaluation.markup import tag
from pellucid.evaluation.page import page
from pellucid.modalities.modality import Modality


def write_data_page(title: str, sentence: str, facts: Mapping[str, Any], pack: Pack, modality: Modality, path: Path) -> None:
    """The page with `facts` (see `contents`) and a sheet of examples, to `path`.

    Raises:
        UserError: it cannot be written.
    """
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "examples.png"
        write_examples(pack, modality, picture)
        header = tag("header", tag("h1", title), tag("p", sentence, class_="verdict"))
        text = page(title, header, tag("section", tag("h2", "Data"), *data_section(facts, picture)))
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
