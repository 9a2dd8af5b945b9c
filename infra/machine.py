"""What this machine can compute natively: facts that the environment does not state."""

import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the instruction sets that every CPU of this machine has, by the kernel's names; none where it has no list."""
    if not cpuinfo.is_file():
        return frozenset()
    lists = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lists)) if lists else frozenset()


def gpu_has_bfloat16() -> bool:
    """Return whether this machine has a GPU that computes in bfloat16 itself."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
