"""How much is unpacked, so that a small file which unpacks to a huge one fills neither memory nor hours."""

LARGEST = 1 << 28
"""Bytes of one thing within an archive or table; it is read into memory whole."""


def allowance(packed: int) -> int:
    """Bytes to which an archive of `packed` bytes may unpack; pictures, packed before, hardly shrink again."""
    return (1 << 30) + 200 * packed


def too_large(size: int) -> str:
    """The reason why something of `size` bytes is not read."""
    return f"{size:,} bytes, more than the {LARGEST:,} that are unpacked at once"
