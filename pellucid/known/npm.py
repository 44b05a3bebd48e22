"""Packages of the npm registry, fetched."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pellucid.core.errors import UserError


def install(packages: Sequence[str], folder: Path, what: str) -> Path:
    """The packages, unpacked, each in a folder of its name; returns where those are.

    Arguments:
        packages: as npm names them, with their versions.
        what: comes from them, as a sentence begins ("Emoji").

    Raises:
        UserError: there is no npm, or the registry cannot be reached.
    """
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--prefix", str(folder), *packages]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{what} come from the npm registry, and there is no npm here: install Node.js") from None
    if ended.returncode:
        told = [line for line in ended.stderr.splitlines() if "ERR" in line or "error" in line] or ["failed"]
        raise UserError(f"{what} come from the npm registry, which cannot be reached: {told[0]}")
    return folder / "node_modules"
