"""The command line, called as from a terminal."""

import sys
from unittest.mock import patch

import pytest

from pellucid.cli import main


def call(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, and what was printed to stdout and to stderr."""
    capsys.readouterr()
    with patch.object(sys, "argv", ["pellucid", *words.split()]), pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err
