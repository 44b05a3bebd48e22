"""Libraries that not everybody needs."""

from importlib import import_module
from typing import Any

from pellucid.core.errors import UnsupportedError


def optional(name: str, what: str, extra: str) -> Any:
    """The module of this name.

    Arguments:
        what: needs it, as a sentence begins ("Sound").
        extra: of the package, with which it is installed.

    Raises:
        UnsupportedError: it is not there, or something that it needs.
    """
    try:
        return import_module(name)
    except (ImportError, OSError):  # OSError: a library of the system is missing
        raise UnsupportedError(f"{what} needs {name}: pip install 'pellucid[{extra}]'") from None
