"""Files of data that come with other Python packages, found without importing these."""

from importlib.util import find_spec
from pathlib import Path

from pellucid.core.errors import UserError


def installed(package: str, place: str, what: str) -> Path:
    """A file of an installed package.

    Arguments:
        place: of the file, below the package.
        what: the data, for the message.

    Raises:
        UserError: the package, or the file in it, is not there.
    """
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / place).is_file():
            return Path(folder) / place
    raise UserError(f"{what} come with the Python package {package}, which is not installed or has no {place}: pip install "
                    f"--no-deps {package}, and repeat this command")  # fmt: skip
