"""What is not wanted, and why a file was rejected, in words for the user."""

import struct
from zipfile import BadZipFile

from pellucid.core.errors import UserError


class RefusedError(Exception):
    """Something that could be read but is not wanted, with the reason."""


def reason(error: Exception) -> str:
    """Why a file was rejected, from what went wrong when it was read."""
    if isinstance(error, RefusedError | UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, BadZipFile) and str(error) == "File is not a zip file":
        return "not a zip archive, whatever its name says, or one that ends too early"
    if isinstance(error, struct.error | EOFError):
        return "damaged: it ends too early"
    return f"damaged: {error or type(error).__name__}"
