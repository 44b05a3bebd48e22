"""A folder in the layout of diffusers: `model_index.json`, and a folder for each component that it names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pellucid.core.errors import ModelError
from pellucid.core.library import library
from pellucid.core.reason import reason

INDEX = "model_index.json"
LIBRARIES = ("diffusers", "transformers")
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
VARIANT = "fp16"
"""What diffusers calls weights that are stored in half precision beside, or in place of, whole ones."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Such a folder, nothing of it loaded yet.

    Attributes:
        name: the class of the pipeline, as diffusers calls it.
        parts: (library, class) of each component that is there, by its name.
        settings: what else `model_index.json` says.
    """

    folder: Path
    name: str
    parts: Mapping[str, tuple[str, str]]
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From the folder's index.

        Raises:
            ModelError: no such index, or a damaged one.
        """
        index = read_json(folder / INDEX)
        if not isinstance(index.get("_class_name"), str):
            raise ModelError(f"'{folder / INDEX}' names no pipeline: it has no \"_class_name\"")
        pairs = {key: value for key, value in index.items() if isinstance(value, list) and len(value) == 2}
        parts = {key: (str(pair[0]), str(pair[1])) for key, pair in pairs.items() if all(pair)}
        settings = {key: value for key, value in index.items() if key not in pairs and not key.startswith("_")}
        return cls(folder=folder, name=index["_class_name"], parts=parts, settings=settings)

    def config(self, part: str) -> dict[str, Any]:
        """A component's own configuration.

        Raises:
            ModelError: it is not there.
        """
        self._check(part)
        return read_json(self.folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json"))

    def load(self, part: str) -> Any:
        """A component: its class, of diffusers or transformers, from its folder; safetensors only.

        Raises:
            ModelError: it is not there, has its weights as a pickle only, or cannot be loaded.
        """
        self._check(part)
        place, name = self.parts[part]
        if place not in LIBRARIES:
            raise ModelError(f"The component '{part}' of '{self.folder}' is code of its own ({place}), which is not run")
        with library(place) as module:
            if not hasattr(module, name):
                raise ModelError(f"The component '{part}' is a {name}, which the installed {place} does not have")
            kind = getattr(module, name)
            try:
                return kind.from_pretrained(self.folder / part, local_files_only=True, **self._weights(part))
            except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
                raise ModelError(f"The component '{part}' of '{self.folder}' cannot be loaded: {reason(error)}") from None

    def _weights(self, part: str) -> dict[str, Any]:
        """What `from_pretrained` is told about files; a tokenizer and a table have no weights."""
        files = list((self.folder / part).glob("*.safetensors"))
        if not files:
            return {}
        only_variant = all(f".{VARIANT}." in file.name or f".{VARIANT}-" in file.name for file in files)
        return {"use_safetensors": True, **({"variant": VARIANT} if only_variant else {})}

    def _check(self, part: str) -> None:
        if part not in self.parts:
            raise ModelError(f"'{self.folder}' is a {self.name} without '{part}': expected a line for it in its {INDEX}")
        place = self.folder / part
        if not place.is_dir():
            raise ModelError(f"'{self.folder}' lacks the component '{part}', a folder that its {INDEX} names: "
                             "was it copied or fetched whole?")
        files = sorted(place.iterdir())
        pickle = next((file for file in files if file.suffix.lower() in PICKLES), None)
        if pickle and not any(file.suffix == ".safetensors" for file in files):
            raise ModelError(f"'{pickle}' is a pickle, which can run any code and is never loaded. Fetch the "
                             "model's safetensors files, or have diffusers write them: pipeline.save_pretrained(FOLDER)")


def read_json(file: Path) -> dict[str, Any]:
    """A file's JSON object.

    Raises:
        ModelError: there is none.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"'{file}' cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"'{file}' is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"'{file}' holds no settings: expected a JSON object")
    return found
