"""`pellucid compare`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pellucid.cli import tab
from pellucid.cli.options import Device, Json, Quiet, Seed, Setting, choose_device, result

if TYPE_CHECKING:
    from rich.console import Console

    from pellucid.cli.console import TrainingDisplay


def compare(
    data: Annotated[Path, typer.Argument(help="What `train` takes: pictures in a folder, zip, Parquet; arrays; a pack.")],
    minutes: Annotated[float, typer.Option(metavar="M", min=0.01, help="What each training may cost.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="For runs, figures and pictures.")
    ] = Path("compared"),
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES", autocompletion=tab.methods, help="Recipes, or TOML files of your own; diffusion: the defaults."
        ),
    ] = "diffusion,variational,vae,adversarial,gan",
    seeds: Annotated[int, typer.Option(metavar="K", min=1, help="Trainings of each method.")] = 3,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Samples that each is measured on.")] = 1000,
    size: Annotated[int | None, typer.Option(metavar="N", help="Longer side of the pictures in pixels.")] = None,
    condition: Annotated[
        Literal["auto", "none", "label"], typer.Option(help="What samples are conditioned on.")
    ] = "none",
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Several methods side by side: same data, same cost, same measures.

    Cost is samples times the median seconds per sample of steps that all take in
    turn, so a busy machine changes nothing. A second call goes on where the first
    one stopped.

    Examples:
      pellucid compare PHOTOS/ --minutes 5 --out compared
      pellucid compare PHOTOS/ --methods diffusion,gan --minutes 10 --seeds 2
    """
    from pellucid.comparison.compare import compare as run
    from pellucid.core.errors import InterruptedRunError

    settings = [f"data.condition={condition}", *([f"data.size={size}"] if size else []), *(setting or [])]
    names = [name.strip() for name in methods.split(",") if name.strip()]
    display = _Display(quiet)
    try:
        found = run(
            data, out, methods=names, minutes=minutes, seeds=seeds, n=n, settings=settings, seed=seed or 0,
            device=choose_device(device), observer=display,
        )  # fmt: skip
    except (InterruptedRunError, KeyboardInterrupt):
        raise InterruptedRunError(f"Interrupted: the same command goes on, with --out {quote(str(out))}") from None
    finally:
        display.close()
    from pellucid.comparison.comparison import COLUMNS

    lines, rows = {}, [COLUMNS, *found.rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        lines[row[0]] = "   ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
    lines |= {"": found.footing, "pictures": str(out / "comparison.html")}
    values = {"out": out, "outcomes": [{"method": one.method, "seed": one.seed, **one.facts} for one in found.outcomes]}
    result(lines, values, json, quiet)


class _Display:
    """A line for each stage and how far it is, and of each training what `train` shows of its steps."""

    def __init__(self, quiet: bool) -> None:
        from pellucid.cli.console import console

        self.screen: Console = console(quiet)
        self.training: TrainingDisplay | None = None
        self.open = ExitStack()

    def stage(self, text: str) -> Callable[[int, int], None]:
        from pellucid.cli.console import counting

        self.close()
        self.screen.print(text)
        return self.open.enter_context(counting(self.screen, text))

    def begin(self, prepared: Any, model: Any, state: Any) -> None:
        from pellucid.cli.console import TrainingDisplay

        self.close()
        self.training = TrainingDisplay(self.screen)
        self.training.begun = True  # the data is the same for all
        self.training.bar.start()
        self.training.begin(prepared, model, state)

    def step(self, state: Any, loss: float, samples_per_second: float) -> None:
        assert self.training is not None
        self.training.step(state, loss, samples_per_second)

    def close(self) -> None:
        """End the bar that there is, or the count."""
        self.open.close()
        if self.training is not None:
            self.training.bar.stop()
            self.training = None
