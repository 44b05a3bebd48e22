"""What samples were to be, in a file beside them, from which it can be read again."""

import json
from collections.abc import Sequence
from pathlib import Path

from pellucid.core.files import atomic_write


def write_metadata(
    folder: Path, files: Sequence[Path], labels: Sequence[str | None] | None, captions: Sequence[str] | None
) -> list[Path]:
    """metadata.jsonl in `folder`, a line for each of the files there; returned is what was written, if anything."""
    columns = {name: column for name, column in (("label", labels), ("text", captions)) if column is not None}
    if not columns:
        return []
    facts = [{"file_name": file.name, **{name: column[row] for name, column in columns.items()}}
             for row, file in enumerate(files)]  # fmt: skip
    lines = [json.dumps(fact, ensure_ascii=False) for fact in facts]
    with atomic_write(folder / "metadata.jsonl") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [folder / "metadata.jsonl"]
