"""What a person sees while a command works: on stderr, so that stdout holds results only."""

from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pellucid.model.model import Model
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState


def console(quiet: bool) -> Console:
    """Where messages go."""
    return Console(stderr=True, quiet=quiet, highlight=False)


class TrainingDisplay:
    """Shows a run: data and network at the start, then a bar with speed, loss and time left.

    Where stderr is no terminal, a line every `every` seconds takes the place of the bar.
    """

    def __init__(self, screen: Console, every: float = 15.0) -> None:
        self.screen, self.every, self.last = screen, every, monotonic()
        self.loss = 0.0
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:3.0f}%  {task.fields[facts]}"),
            console=screen,
            transient=False,
            disable=screen.quiet or not screen.is_terminal,
        )
        self.task = self.bar.add_task("training", total=1.0, facts="")

    def __enter__(self) -> "TrainingDisplay":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        pack, facts = prepared.pack, prepared.facts
        shape = " x ".join(str(n) for n in facts.shape)
        labels = f", {len(facts.labels)} labels" if facts.labels else ", no labels"
        self.screen.print(f"data      {len(pack):,} samples of {shape}{labels}")
        for note in pack.notes:
            self.screen.print(f"          {note}")
        for rejection in pack.rejections(5):
            self.screen.print(f"          skipped {rejection.source}: {rejection.reason}", markup=False)
        size = sum(p.numel() for p in model.denoiser.parameters())
        self.screen.print(f"network   {model.config.network['name']}, {size / 1e6:.2f}M parameters")
        gap = model.denoiser.process.check_prior(facts.std)
        if gap > 0.05:
            self.screen.print(f"prior     widened by the data left at t = 1 ({gap:.2f} of the noise)")
        if state.seen:
            self.screen.print(f"resumed   after {state.seen:,} samples")

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        self.loss = loss if state.step < 2 else 0.98 * self.loss + 0.02 * loss
        left = state.plan.seconds_left(state.seen, samples_per_second)
        remaining = "measuring the speed" if left is None else f"{duration(left)} left"
        facts = f"{state.seen:,} samples  {samples_per_second:.0f}/s  loss {self.loss:.4f}  {remaining}"
        self.bar.update(self.task, completed=state.plan.progress(state.seen), facts=facts)
        if self.bar.disable and monotonic() - self.last >= self.every:
            self.last = monotonic()
            self.screen.print(f"{state.plan.progress(state.seen):4.0%}  {facts}")


def duration(seconds: float) -> str:
    """Seconds for people: 4 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
