"""Every reader that is fuzzed, by name."""

from collections.abc import Callable

from fuzzing.borders import CommandLine, Configuration, ModelFile, Packed
from fuzzing.case import Reader
from fuzzing.files import READERS as DATA
from fuzzing.requests import Requests

READERS: dict[str, Callable[[], Reader]] = {
    **DATA, "models": ModelFile, "packs": Packed, "configuration": Configuration, "commands": CommandLine,
    "requests": Requests,
}  # fmt: skip
