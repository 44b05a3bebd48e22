"""Faults, each injected into one command; what came of it, in words that begin with "right" where it is."""

import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from time import perf_counter, sleep

from pellucid.core.files import TEMPORARY
from sides.jobs import KNOWN, ROOT, Job, wait_for_server

FOLDERS = ("a folder that may not be written", "a folder that vanishes")
CLOCKS = {"a year on": 3.2e7, "an hour back": -3600.0}
AGAIN = 4
"""Times that a command is given again until it comes to its end."""


def killed(job: Job, rng: Random, place: Path) -> str:
    """At a moment between start and end, then given again."""
    folder, (_, seconds, _) = place / "out", KNOWN[job.name]
    process = job.start(folder)
    sleep(rng.uniform(0, seconds))
    process.kill()
    told = process.communicate()[0]
    if "Traceback" in told:
        return f"a traceback before the kill: {told[-200:]}"
    if job.name == "serve":
        return _served_again(job, folder)
    return _again(job, folder)


def full(share: float, job: Job, _rng: Random, place: Path) -> str:
    """On a disk of a share of what it needs: an error in a line, exit code 2; then with room enough."""
    folder, size = place / "disk", max(64, int(share * KNOWN[job.name][2] / 1024))
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return "not tried: no right to mount"
    try:
        process = job.start(folder / "out")
        told = process.communicate()[0]
        if "Traceback" in told:
            return f"a traceback: {told[-300:]}"
        if process.returncode not in (0, 2):
            return f"exit code {process.returncode}: {told[-300:]}"
        half = _half(folder)
        if half:
            return f"half-written: {half}"
        subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        came = _again(job, folder / "out")
        if process.returncode == 0:
            return came
        return f"{came}, told that no space was left" if "o space left" in told else f"told otherwise: {told[-300:]}"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def damaged(job: Job, rng: Random, place: Path) -> str:
    """The newest checkpoint cut short, a bit of it turned, or the one before in its place."""
    folder = place / "out"
    job.start(folder).communicate()
    (folder / "model.safetensors").unlink()
    before, newest = sorted((folder / "checkpoints").glob("*.safetensors"))[-2:]
    content, how = bytearray(newest.read_bytes()), rng.choice(("cut", "bit", "swap"))
    if how == "cut":
        content = content[: rng.randrange(len(content))]
    elif how == "bit":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    newest.write_bytes(before.read_bytes() if how == "swap" else content)
    told = job.start(folder, quiet=False).communicate()[0]
    if KNOWN[job.name][0] != job.made(folder):
        return f"{how}: other bits: {told[-300:]}"
    return "right: set aside, and said so" if "damaged" in told else f"{how}: said nothing"


def folder_gone(name: str, job: Job, rng: Random, place: Path) -> str:
    """The run's folder cannot be written any more, or is deleted."""
    folder = place / "out"
    if name == FOLDERS[0]:
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(folder)], check=False).returncode:
            return "not tried: no right to mount"
        try:
            process = job.start(folder)
            told = process.communicate()[0]
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=False)
    else:
        process = job.start(folder)
        while process.poll() is None and not list(folder.glob("checkpoints/*.safetensors")):
            sleep(0.01)
        sleep(rng.uniform(0, 0.2))
        shutil.rmtree(folder, ignore_errors=True)
        told = process.communicate()[0]
    if "Traceback" in told or process.returncode not in (0, 2):
        return f"exit code {process.returncode}: {told[-300:]}"
    shutil.rmtree(folder, ignore_errors=True)
    return f"{_again(job, folder)}, after exit code {process.returncode}"


def clock(name: str, job: Job, _rng: Random, place: Path) -> str:
    """The time of day jumps at every look at it; a run of a quarter of a minute has to end in time all the same."""
    jump = f"import time; began = time.time(); n = iter(range(10**9)); time.time = lambda: began + next(n) * {CLOCKS[name]}"
    words = [word for word in job.words(place / "out") if word not in ("--samples", "1280")] + ["--minutes", "0.25"]
    began = perf_counter()
    code = f"{jump}; import sys; sys.argv = ['pellucid', *{words!r}]; from pellucid.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    seconds = perf_counter() - began
    if done.returncode or "Traceback" in done.stderr:
        return f"exit code {done.returncode}: {done.stderr[-300:]}"
    return "right: it ended in time" if seconds < 60 else f"{seconds:.0f} s instead of 15"


def second(job: Job, _rng: Random, place: Path) -> str:
    """Refused by name, and the first is not disturbed."""
    first = job.start(place / "out")
    while first.poll() is None and not list((place / "out").glob("checkpoints/*.safetensors")):
        sleep(0.01)
    told = job.start(place / "out").communicate()[0]
    first.communicate()
    if f"process {first.pid}" not in " ".join(told.split()):
        return f"not refused: {told[-300:]}"
    return "right: refused, with the first one's number" if job.made(place / "out") == KNOWN[job.name][0] else "other bits"


def _again(job: Job, folder: Path) -> str:
    """Until it is through."""
    if half := _half(folder):
        return f"half-written: {half}"
    for _ in range(AGAIN):
        process = job.start(folder)
        told = process.communicate()[0]
        if process.returncode == 0:
            return "right: the same bits" if job.made(folder) == KNOWN[job.name][0] else f"other bits: {told[-200:]}"
    return f"exit code {process.returncode}, given again: {told[-300:]}"


def _served_again(job: Job, folder: Path) -> str:
    process = job.start(folder)
    try:
        return "right: it serves again" if wait_for_server(folder) else "it does not serve again"
    finally:
        process.kill()
        process.communicate()


def _half(folder: Path) -> str:
    """A file under its own name that does not open."""
    from pellucid.model.files import read_tensors

    for path in folder.rglob("*.safetensors") if folder.exists() else ():
        if not path.name.startswith(TEMPORARY) and TEMPORARY not in str(path):
            try:
                read_tensors(path)
            except Exception as error:
                return f"{path.name}: {error}"
    return ""
