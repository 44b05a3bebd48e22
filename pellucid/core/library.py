"""The libraries that pretrained components need: imported when they are, and kept from talking."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from pellucid.core.errors import UnsupportedError


@contextmanager
def library(name: str) -> Iterator[Any]:
    """The library `name`, "diffusers" or "transformers", which within says nothing but errors and draws no bars.

    Raises:
        UnsupportedError: it is not installed; the message names the extra.
    """
    try:
        talkers = [import_module(f"{one}.utils.logging") for one in ("transformers", "diffusers")]
    except ImportError as error:
        missing = error.name or name
        raise UnsupportedError(f"Pretrained models need {missing}: pip install 'pellucid[pretrained]'") from None
    before = [(talker, talker.get_verbosity(), talker.is_progress_bar_enabled()) for talker in talkers]
    for talker in talkers:
        _set(talker, talker.ERROR, bars=False)
    try:
        yield import_module(name)
    finally:
        for talker, verbosity, bars in before:
            _set(talker, verbosity, bars=bars)


def _set(talker: ModuleType, verbosity: int, *, bars: bool) -> None:
    talker.set_verbosity(verbosity)
    if bars:
        talker.enable_progress_bar()
    else:
        talker.disable_progress_bar()
