"""Where a model is that the user names: here, or fetched from the hub into its cache."""

import re
from pathlib import Path

from pellucid.core.errors import ModelError
from pellucid.core.library import library
from pellucid.core.reason import reason
from pellucid.interop.borrowed import FOLDER
from pellucid.interop.layout import INDEX
from pellucid.model.files import SHIPPED

PREFIX = "hub:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def find(path: Path | str) -> Path:
    """The file or folder that `path` stands for: itself; of a run that trained a pipeline, that; for hub:OWNER/NAME, and
    for OWNER/NAME where there is no folder OWNER, a pipeline of diffusers on the hub, of which what is not in the cache yet
    is fetched, safetensors only.

    Raises:
        ModelError: it cannot be fetched.
    """
    place = Path(path)
    if (place / FOLDER / INDEX).is_file():
        return place / FOLDER
    name = place.as_posix().removeprefix(PREFIX)
    here = place.exists() or place.parent.is_dir() or (SHIPPED / f"{name}.safetensors").is_file()
    if not place.as_posix().startswith(PREFIX) and (here or not _NAME.fullmatch(name)):
        return place
    with library("diffusers") as diffusers:
        try:
            return Path(diffusers.DiffusionPipeline.download(name, use_safetensors=True))
        except Exception as error:  # of the network, of the hub, of any file format
            why = reason(error.__cause__ if isinstance(error.__cause__, Exception) else error)
            raise ModelError(f"'{name}' is no folder here and cannot be fetched from the hub: {why}. Is the name right, "
                             "is there a network, and has the model safetensors files?") from None
