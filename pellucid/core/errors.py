"""Every error that pellucid raises on purpose.

PellucidError               something went wrong that we have words for        exit 1
├── UserError               the user's input is at fault                       exit 2
│   ├── ConfigError         a setting: unknown name, wrong type, out of range
│   ├── DataError           a data set or file that cannot be read
│   ├── ModelError          a model file that cannot be loaded
│   └── UnsupportedError    two parts that cannot work together
├── DivergenceError         training met NaN or Inf; carries the diagnosis     exit 1
└── InterruptedRunError     stopped by a signal, everything saved              exit 130

A message says what came, what was expected, and the nearest valid name or the likely fix.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PellucidError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class UserError(PellucidError):
    """The user's input is at fault."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(UserError):
    """A data set or file cannot be read."""


class ModelError(UserError):
    """A model file cannot be loaded."""


class UnsupportedError(UserError):
    """Two parts that were asked to work together cannot, for a reason of mathematics or of layout."""


class DivergenceError(PellucidError):
    """Training met NaN or Inf. The message is the diagnosis."""


class InterruptedRunError(PellucidError):
    """A signal stopped the run after everything was saved."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the closest known one, whatever its case, then all of them.

    >>> nearest("Cosin", ["linear", "cosine"])
    "did you mean 'cosine'? Known: cosine, linear"
    """
    names = sorted(set(known))
    if not names:
        return "there are none"
    lower = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name, names, n=1) or [lower[word] for word in get_close_matches(name.lower(), lower, n=1)]
    all_known = ", ".join(names)
    return f"did you mean '{close[0]}'? Known: {all_known}" if close else f"known: {all_known}"
