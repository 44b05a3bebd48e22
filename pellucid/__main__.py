"""`python -m pellucid`: the command line, for launchers such as torchrun that start a module."""

from pellucid.cli import main

main()
