"""Which precision a device computes in."""

from typing import Literal

import torch


def default_precision(device: torch.device | str) -> Literal["bfloat16", "float32"]:
    """What training's passes are computed in on a device, unless asked otherwise."""
    return "bfloat16" if has_bfloat16(device) else "float32"


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether products in bfloat16 are the device's own, and so faster than in float32.

    Of CPUs x86 alone is asked, for AVX-512 BF16 (AMD from Zen 4, Intel from Cooper Lake) or AMX: training gains about 1.6
    times by it (records/speed.md).
    """
    kind = torch.device(device).type
    if kind == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return kind == "cpu" and any(getattr(torch.cpu, test, bool)() for test in tests)
