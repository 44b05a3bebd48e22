"""A run of Weights & Biases beside ours, sent as it goes or kept in RUN/wandb for `wandb sync`."""

import os
from collections.abc import Mapping
from netrc import NetrcParseError, netrc
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.core.optional import optional
from pellucid.training.config import RunConfig

PROJECT = "pellucid"
"""Unless WANDB_PROJECT names another."""
IDENTITY = "pellucid-run"
"""The file in RUN/wandb that holds the run's identity there, so that a resumed run goes on with the same curves."""


class WandbRun:
    """Settings at the start, then a point of each curve against `samples`.

    It goes online where there is a key (WANDB_API_KEY, or what `wandb login` has left), and stays offline where there is
    none. WANDB_MODE, and other variables of that library, decide as they do everywhere.

    Arguments:
        folder: of the run.
        offline: whether to stay so in any case.

    Raises:
        UserError: it cannot be begun.
    """

    def __init__(self, folder: Path, config: RunConfig, *, offline: bool) -> None:
        wandb = optional("wandb", "--track wandb", "wandb")
        host = urlsplit(wandb.Settings().base_url).hostname or ""
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT), name=folder.resolve().name, dir=str(folder),
                id=_identity(folder), resume="allow", config=config.model_dump(mode="json"),
                mode=_mode(host, offline=offline), settings=settings,
            )  # fmt: skip
        except wandb.errors.Error as error:
            raise UserError(
                f"Weights & Biases cannot be reached: {error}. --track wandb-offline keeps everything in "
                f"'{folder / 'wandb'}', to be sent later by `wandb sync`"
            ) from None
        self._run.define_metric("*", step_metric="samples")  # theirs counts calls, and does not go back

    def write(self, samples: int, values: Mapping[str, Any]) -> None:
        self._run.log({**values, "samples": samples})

    def close(self) -> None:
        self._run.finish()


def _mode(host: str, *, offline: bool) -> str:
    if offline:
        return "offline"
    return os.environ.get("WANDB_MODE") or ("online" if _has_key(host) else "offline")


def _has_key(host: str) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False


def _identity(folder: Path) -> str:
    """Of the run there, kept from its first start on."""
    kept = folder / "wandb" / IDENTITY
    if not kept.is_file():
        with atomic_write(kept) as temporary:
            temporary.write_text(token_hex(8), encoding="utf-8")
    return kept.read_text(encoding="utf-8").strip()
