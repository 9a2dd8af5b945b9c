"""Where a run computes: with the same seed and config, runs have the same random numbers and rounding on the same of it."""

import os

import torch

# Those of the matrix products; torch's own level does not tell them.
_PRODUCTS = ("avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")


def instruction_set() -> str:
    """Return the instructions that this process computes with on a CPU: torch's level, and those of matrix products."""
    has = torch.cpu.get_capabilities()
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA")
    found = [torch.backends.cpu.get_cpu_capability(), *(name for name in _PRODUCTS if has.get(name))]
    return " ".join(found if cap is None else [*found, f"(oneDNN at most {cap})"])
