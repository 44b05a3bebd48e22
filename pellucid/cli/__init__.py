"""The command line. Commands are one file each; torch is imported only when one runs."""

from pellucid.cli.app import main

__all__ = ["main"]
