"""What a person sees while a command works: on stderr, so that stdout holds results only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import nn

from pellucid.cli.options import plain, silence
from pellucid.model.config import Section
from pellucid.model.model import Model
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

SKIPPED = 5  # files that are named when they could not be read


class Screen(Console):
    """A console that falls silent when it cannot be written to any more: the work goes on."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(sys.stderr)


def console(quiet: bool) -> Console:
    """Where messages go. They are printed as they are: names of files are no markup."""
    return Screen(stderr=True, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True)


class TrainingDisplay:
    """Shows a run: data and network at the start, then a bar with speed, loss and time left.

    Where stderr is no terminal, a line every `every` seconds takes the place of the bar.
    """

    def __init__(self, screen: Console, every: float = 15.0) -> None:
        self.screen, self.every, self.last = screen, every, monotonic()
        self.loss: float | None = None
        self.begun = False
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f}%  {task.fields[facts]}"),
            console=screen,
            transient=True,
            disable=screen.quiet or not screen.is_terminal,
        )
        self.task = self.bar.add_task("training", total=1.0, facts="", visible=False)

    def __enter__(self) -> "TrainingDisplay":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        if not self.begun:
            self._begin_run(prepared)
        if state.loss.trained is model.codec:
            self._begin_stage("codec", model.codec, model.config.codec)
            latents = " x ".join(map(str, model.codec.latent_shape(model.facts.shape)))
            self.tell("latents", f"{latents}, to be diffused once the codec is trained")
        elif state.loss.trained is not model.denoiser:
            self._begin_stage("reader", state.loss.trained, model.config.text)
        else:
            if model.codec.learned:
                self.tell("codec", f"reconstructs training data at {model.card['codec']['psnr']} dB PSNR")
            self._begin_stage("network", model.denoiser, model.config.network)
            gap = model.denoiser.process.check_prior(model.facts.std)
            if gap > 0.05:
                self.tell("prior", f"widened by the data left at t = 1 ({gap:.2f} of the noise)")
        if state.seen:
            self.tell("resumed", f"after {state.seen:,} samples")

    def _begin_run(self, prepared: Prepared) -> None:
        self.begun = True
        pack, facts = prepared.whole, prepared.facts
        shape = " x ".join(str(n) for n in facts.shape)
        labels = f"{len(facts.labels)} labels" if facts.labels else "no labels"
        self.tell("data", f"{len(pack):,} samples of {shape}, {labels}")
        for note in pack.notes:
            self.tell("", note)
        if skipped := pack.rejections():
            self.tell("skipped", f"{len(skipped):,} files that could not be read, such as" if len(skipped) > SKIPPED else
                      f"{counted(len(skipped), 'file')} that could not be read:")  # fmt: skip
            for rejection in skipped[:SKIPPED]:
                self.tell("", f"  {rejection.source}: {rejection.reason}")

    def _begin_stage(self, name: str, trained: nn.Module, section: Section) -> None:
        """What is trained from here on."""
        sizes = [(p.numel(), p.requires_grad) for p in trained.parameters()]
        size, learning = sum(n for n, _ in sizes), sum(n for n, learns in sizes if learns)
        some = f", {learning / 1e6:.2f}M of which are trained" if learning < 0.95 * size else ""
        self.tell(name, f"{section['name']}, {size / 1e6:.2f}M parameters{some}")
        self.loss, self.last = None, monotonic()
        self.bar.reset(self.task, description="training" if name == "network" else name, visible=False)

    def tell(self, name: str, text: str) -> None:
        """One line about the run."""
        self.screen.print(plain(f"{name:<9} {text}"))

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss
        left = state.plan.seconds_left(state.seen, samples_per_second)
        if left is None:
            remaining = "measuring the speed"
        elif left == 0:
            remaining = "drawing and measuring"
        else:
            remaining = f"{round(left)} s left" if left < 10 else f"{duration(left)} left"
        facts = f"{state.seen:,} samples  {samples_per_second:.0f}/s  loss {self.loss:.4f}  {remaining}"
        facts += f"  {state.word}" if state.word else ""
        self.bar.update(self.task, completed=state.plan.progress(state.seen), facts=facts, visible=True)
        if self.bar.disable and monotonic() - self.last >= self.every:
            self.last = monotonic()
            self.screen.print(f"{state.plan.progress(state.seen):4.0%}      {facts}")


@contextmanager
def counting(screen: Console, what: str, every: float = 15.0, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
    """A function that is told how many steps of how many are done, and shows it as `TrainingDisplay` does."""
    start = last = monotonic()
    with screen.status(what) as status:

        def tell(done: int, total: int) -> None:
            nonlocal last
            left = duration((monotonic() - start) / done * (total - done))
            text = f"{what}  {unit} {done:,} of {total:,}  {left} left"
            status.update(text)
            if not screen.is_terminal and monotonic() - last >= every:
                last = monotonic()
                screen.print(text)

        yield tell


def counted(count: int, thing: str) -> str:
    """1 sample, 2 samples, 1,000 samples."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Seconds for people: 0.04 s, 1.4 s, 14 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
