"""Which precision a device computes in."""

import torch


def uses_bfloat16(wanted: str, device: torch.device | str) -> bool:
    """Whether training at this setting of `training.precision` runs its passes in bfloat16 on the device."""
    return wanted == "bfloat16" or (wanted == "auto" and has_bfloat16(device))


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether products in bfloat16 are the device's own, and so faster than in float32.

    On x86 CPUs that is AVX-512 BF16 (AMD from Zen 4, Intel from Cooper Lake) or AMX; training gains 1.4 to 1.9 times by it
    (records/speed.md). Others would only imitate it.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return kind == "cpu" and any(getattr(torch.cpu, test, bool)() for test in tests)
