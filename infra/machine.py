"""What this machine can compute natively: facts that the environment does not state."""

import os
import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Of these torch's own level says nothing.
_OF_PRODUCTS = ("avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the instruction sets that every CPU of this machine has, by the kernel's names; none where it has no list."""
    if not cpuinfo.is_file():
        return frozenset()
    lists = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lists)) if lists else frozenset()


def instruction_set() -> str:
    """Return the instructions that torch computes with in this process: its level, and those of matrix products besides."""
    import torch

    has = torch.cpu.get_capabilities()
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")
    found = [torch.backends.cpu.get_cpu_capability(), *(name for name in _OF_PRODUCTS if has.get(name))]
    return " ".join(found if not cap else [*found, f"(oneDNN at most {cap})"])


def gpu_has_bfloat16() -> bool:
    """Return whether this machine has a GPU that computes in bfloat16 itself."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
