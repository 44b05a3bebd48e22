"""The package as others get it: built from what is committed, installed in an empty environment, used from elsewhere.

    python benchmarks/package.py --out records/package.md

Every step is a command in an empty folder, with no variable that leads back to the checkout; the first that fails ends it.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.request import Request, urlopen

from resume import machine

from pellucid.core.files import atomic_write

ROOT = Path(__file__).parent.parent
RUNS = 10
"""How often a help is timed."""
PICTURES = """
from pathlib import Path
import numpy as np
from PIL import Image
for label, shade in (("dark", 60), ("light", 200)):
    Path("PHOTOS", label).mkdir(parents=True)
    for index in range(24):
        noise = np.random.default_rng(index).integers(-40, 40, (24, 24, 3))
        Image.fromarray((shade + noise).astype(np.uint8)).save(f"PHOTOS/{label}/{index}.png")
"""
TYPED = """
import pellucid
model = pellucid.load("run")
samples = model.sample(4, label="dark", steps=3)
reveal_type(samples.data)
"""


@dataclass(kw_only=True)
class Place:
    """An empty folder, an environment in it, and what was done there: what, seconds, those of processors, what was told."""

    home: Path
    rows: list[tuple[str, float, float, str]] = field(default_factory=list)

    def run(self, *words: str, shown: str = "", **variables: str) -> str:
        """What a command of the environment says; its last line becomes a row."""
        began, before = perf_counter(), processor()
        told = self.quietly(*words, **variables)
        self.note(shown or " ".join(words), perf_counter() - began, processor() - before, (told.splitlines() or [""])[-1])
        return told

    def quietly(self, *words: str, **variables: str) -> str:
        command = [str(self.home / "venv/bin" / words[0]), *words[1:]]
        around = self.variables(variables)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.home, env=around)
        if ended.returncode:
            sys.exit(f"{' '.join(words)}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended.stdout.strip()

    def note(self, shown: str, seconds: float, worked: float, told: str) -> None:
        self.rows.append((shown, seconds, worked, told))
        print(f"{seconds:7.2f} s, {worked:6.2f} s of processors  {shown}: {told}", file=sys.stderr, flush=True)

    def variables(self, more: dict[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return {**kept, **pip, "HOME": str(self.home), "COLUMNS": "80", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def processor() -> float:
    """Seconds that ended processes have had in all."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the package, install it in an empty environment, use it.")
    parser.add_argument("--out", type=Path, default=Path("records/package.md"))
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        place = Place(home=Path(folder))
        subprocess.run([sys.executable, "-m", "venv", place.home / "venv"], check=True)
        files = build(place)
        install(place, next(file for file in files if file.suffix == ".whl"))
        use(place)
        serve(place)
        text = "\n".join(record(place, files))
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def build(place: Place) -> list[Path]:
    """The sdist, and the wheel from it, of the last commit."""
    archive = place.home / "source.tar"
    subprocess.run(["git", "archive", "--prefix", "source/", "-o", archive, "HEAD"], check=True, cwd=ROOT)
    subprocess.run(["tar", "-xf", archive, "-C", place.home], check=True)
    place.quietly("pip", "install", "-q", "build")
    place.run("python", "-m", "build", "--outdir", "dist", "source", shown="python -m build")
    return sorted((place.home / "dist").iterdir())


def install(place: Place, wheel: Path) -> None:
    place.run("pip", "install", "-q", "-c", "source/constraints.txt", f"{wheel}[serve]",
              shown=f"pip install -c constraints.txt '{wheel.name}[serve]'")  # fmt: skip
    place.run("pip", "check")
    place.run("python", "-c", "import pellucid; print(pellucid.__version__, 'torch' in __import__('sys').modules)",
              shown="import pellucid; version, whether torch was imported")  # fmt: skip


def use(place: Place) -> None:
    """What a newcomer tries."""
    for shown, words, variables in (
        ("pellucid --help", ("--help",), {}), ("pellucid sample --help", ("sample", "--help"), {}),
        ("PELLUCID_LANG=zh pellucid sample --help", ("sample", "--help"), {"PELLUCID_LANG": "zh"}),
        ("the Tab key after `pellucid train DATA --set network.`", (),
         {"_PELLUCID_COMPLETE": "complete_bash", "COMP_WORDS": "pellucid train DATA --set network.", "COMP_CWORD": "4"}),
    ):  # fmt: skip
        took, before = [], processor()
        for _ in range(RUNS):
            began = perf_counter()
            place.quietly("pellucid", *words, **variables)
            took.append(perf_counter() - began)
        place.note(shown, min(took), (processor() - before) / RUNS, f"the quickest of {RUNS}; the slowest {max(took):.2f} s")
    place.run("pellucid", "generate", "a red heart", "-o", "h.png", shown='pellucid generate "a red heart" -o h.png')
    place.quietly("python", "-c", PICTURES)
    place.run("pellucid", "train", "PHOTOS", "--out", "run", "--samples", "640")
    place.run("pellucid", "sample", "run", "-n", "4", "--out", "sheet.png")
    place.quietly("pip", "install", "-q", "-c", "source/constraints.txt", "mypy")
    (place.home / "user.py").write_text(TYPED, encoding="utf-8")
    told = place.run("mypy", "--strict", "user.py", shown="mypy --strict, of a script that loads and samples")
    assert '"torch._tensor.Tensor"' in told, told


def serve(place: Place) -> None:
    """A page, and a picture by the API."""
    began, before = perf_counter(), processor()
    command = [str(place.home / "venv/bin/pellucid"), "serve", "emoji", "--port", "0", "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place.home, env=place.variables({})) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        with urlopen(f"{address}/") as page:
            title = page.read().decode().partition("<title>")[2].partition("<")[0]
        question = json.dumps({"prompt": "a red heart", "steps": 4}).encode()
        headers = {"Content-Type": "application/json", "Accept": "image/png"}
        with urlopen(Request(f"{address}/v1/samples", question, headers)) as answer:
            picture = answer.read()
        assert picture.startswith(b"\x89PNG")
        server.send_signal(signal.SIGINT)
    place.note("pellucid serve emoji: start, page, a picture, Ctrl-C", perf_counter() - began, processor() - before,
               f"page '{title}', picture of {len(picture):,} bytes, exit code {server.returncode}")  # fmt: skip


def record(place: Place, files: list[Path]) -> Iterator[str]:
    yield from (
        "# Installed from the wheel", "",
        "Built from the last commit, installed in an empty environment, and used from an empty folder.", "",
        "| file | MB |", "| --- | --- |",
    )  # fmt: skip
    yield from (f"| {file.name} | {file.stat().st_size / 1e6:.1f} |" for file in files)
    yield from ("", "| what | seconds | of processors | its last line |", "| --- | --- | --- | --- |")
    for shown, seconds, worked, told in place.rows:
        yield f"| {shown} | {seconds:.2f} | {worked:.2f} | {' '.join(told.split())} |"
    packages = place.quietly("pip", "list", "--format", "json")
    size = sum(file.stat().st_size for file in (place.home / "venv").rglob("*") if file.is_file() and not file.is_symlink())
    yield from (
        "", f"- command: `python benchmarks/package.py --out {Path('records/package.md')}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}", *machine(),
        f"- environment: {len(json.loads(packages))} packages, {size / 1e6:,.0f} MB, torch and mypy included",
        f"- beside it: {os.getloadavg()[2]:.0f} processes that wanted to run; seconds of processors are the command's own",
        "",
    )  # fmt: skip


if __name__ == "__main__":
    main()
