"""Where results are kept that take time to make and can be made again at any time."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """PELLUCID_CACHE, else XDG_CACHE_HOME/pellucid, else ~/.cache/pellucid. It need not be there yet."""
    own, shared = os.environ.get("PELLUCID_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    return (Path(shared) if shared else Path.home() / ".cache") / "pellucid"
