"""This machine: what it has, how fast it is, what is installed."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from pellucid.core.random import Key
from pellucid.networks.initialise import initialise
from pellucid.networks.unet import UNet

EXTRAS = ("av", "soundfile", "pyarrow", "pandas", "diffusers", "transformers", "onnxruntime", "fastapi", "wandb", "optuna")


def examine(seconds: float = 4.0, *, device: str = "cpu", seed: int = 0) -> dict[str, Any]:
    """Facts by name, in an order for reading. Half of `seconds` goes to matrix products, half to a training step.

    Both run on `device`, with numbers that follow from `seed`.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    x = torch.randn(1024, 1024, generator=generator).to(device)
    rate = _repeat(lambda: x @ x, seconds / 2)
    shape = (1, 28, 28)
    network = UNet(in_channels=1, out_channels=1, space=shape[1:])
    initialise(network, Key(seed, "doctor"))
    network.to(device)
    batch, level = torch.randn(64, *shape, generator=generator).to(device), torch.zeros(64, device=device)

    def step() -> Tensor:
        loss: Tensor = (network(batch, level) ** 2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return next(p.grad for p in network.parameters() if p.grad is not None)

    steps = _repeat(step, seconds / 2)
    parameters = sum(prod(p.shape) for p in network.parameters())
    return {
        "pellucid": _version("pellucid"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector units": torch.backends.cpu.get_cpu_capability(),
        "memory": _memory(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "mps": "yes" if torch.backends.mps.is_available() else "none",
        "device": device,
        "matrix rate": f"{2 * 1024**3 * rate / 1e9:.0f} GFLOP/s (1024 x 1024, float32)",
        "training speed": f"{64 * steps:.0f} pictures/s (28 x 28, U-Net tiny, {parameters / 1e6:.1f}M parameters)",
        "extras": ", ".join(f"{name} {found}" for name in EXTRAS if (found := _version(name))) or "none",
    }


def _repeat(work: Callable[[], Tensor], seconds: float) -> float:
    """Runs per second, the first not counted; each is over when a number of its result is here."""
    float(work().flatten()[0])
    start, runs = perf_counter(), 0
    while perf_counter() - start < seconds:
        float(work().flatten()[0])
        runs += 1
    return runs / (perf_counter() - start)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return "unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
