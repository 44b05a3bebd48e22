"""The study: what has been tried so far, in a database that several workers share."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any

from pellucid.core.errors import ConfigError, UserError
from pellucid.core.optional import optional

HEARTBEAT, GRACE = 10, 60
"""Seconds between two signs of life of a worker, and after which one that gave none counts as gone."""
PATIENCE = 120
"""Seconds that a worker waits for others to let go of an SQLite file."""
TRIES, BETWEEN = 4, 0.5
"""To open a database, and seconds between two: workers that start at once get into each other's way with the tables."""
STARTED = 8
"""Trials that are chosen at random before the others are chosen by what they showed."""
WHAT = "what"


def open_study(url: str, name: str, what: dict[str, Any]) -> Any:
    """The study of this name, made anew if there is none.

    Its pruner stops a trial that is worse than the median of those before at the same share of the way (Golovin et al. 2017,
    Vizier, section 3.2.2), not before a quarter of it. Successive halving lets one in three or four go on at each rung: of
    the ten or twenty trials that an evening holds, that leaves one or two to be compared, and it takes those that start
    fast. What is compared on the way is of averaged weights, so a high learning rate that has not fallen yet is no handicap.

    Arguments:
        what: is tuned, in terms of JSON; a study that was made for something else is refused.

    Raises:
        UserError: the database cannot be opened.
        ConfigError: its address is none, or the study is of something else.
    """
    optuna = optional("optuna", "Tuning", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=_storage(url), study_name=name, load_if_exists=True, direction="minimize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2, n_min_trials=3),
    )  # fmt: skip
    before = study.user_attrs.get(WHAT)
    if before is None:
        study.set_user_attr(WHAT, what)
    for key, value in what.items() if before else ():
        if before.get(key) != value:
            other = f"another {key}" if isinstance(value, str) else f"{key} = {before.get(key)}, not {value}"
            raise ConfigError(
                f"The study '{name}' in {shown(url)} was begun with {other}: go on with the same, or choose another --out, "
                "whose last folder is the name of the study"
            )
    return study


def choose_sampler(study: Any, seed: int, fixed: dict[str, Any] | None) -> None:
    """How the next settings are chosen: those given, or by the tree-structured Parzen estimator (Bergstra et al. 2011), one
    setting after the other. Its draws depend on the seed and on trials that have ended, not on what else this worker drew.
    """
    optuna = optional("optuna", "Tuning", "tune")
    with stable():
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTED, multivariate=False)
        if fixed is not None:
            study.sampler = optuna.samplers.PartialFixedSampler(fixed, study.sampler)


def let_go(study: Any) -> None:
    """Mark trials as failed whose worker is gone."""
    optuna = optional("optuna", "Tuning", "tune")
    with stable():
        optuna.storages.fail_stale_trials(study)


@contextmanager
def stable() -> Iterator[None]:
    """No warnings that a part of Optuna may change some day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optional("optuna", "Tuning", "tune").exceptions.ExperimentalWarning)
        yield


def shown(url: str) -> str:
    """The address of a database without its password."""
    hidden = re.sub(r"(//[^/@:]*:).*@", r"\1***@", url)
    return f"'{hidden}'"


def _storage(url: str) -> Any:
    optuna = optional("optuna", "Tuning", "tune")
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    expected = "expected sqlite:///FILE.db or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    options = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {}
    for tries in range(TRIES):
        try:
            with stable():
                return optuna.storages.RDBStorage(
                    url, engine_kwargs=options, heartbeat_interval=HEARTBEAT, grace_period=GRACE
                )
        except (NoSuchModuleError, ImportError) as error:
            missing = error.__cause__ or error
            raise UserError(f"--storage {shown(url)} needs a driver that is not installed ({missing}); {expected}") from None
        except ArgumentError:
            raise ConfigError(f"--storage {shown(url)} is no address of a database; {expected}") from None
        except SQLAlchemyError as error:
            if tries == TRIES - 1:
                reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
                raise UserError(f"--storage {shown(url)} cannot be opened: {reason}; {expected}") from None
            sleep(BETWEEN)
    raise AssertionError
