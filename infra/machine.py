"""What this machine can compute natively: facts that the environment does not state."""

import os
import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Of these torch's own level says nothing.
_OF_PRODUCTS = ("avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")

# Dense bfloat16 products, operations per second, of the makers' data sheets; by the beginning of the name torch tells.
_PEAK_FLOPS = {
    "NVIDIA H200": 989.4e12,
    "NVIDIA H100 80GB HBM3": 989.4e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA A100": 312e12,
}


def peak_flops(gpu: str) -> float | None:
    """Return how many operations per second a GPU could make in bfloat16; None where nobody has looked it up.

    >>> peak_flops("NVIDIA A100-SXM4-80GB"), peak_flops("NVIDIA H100 NVL")
    (312000000000000.0, None)
    """
    return next((peak for name, peak in _PEAK_FLOPS.items() if gpu.startswith(name)), None)


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


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether torch finds a GPU here; torch is imported only where the machine has NVIDIA's device files."""
    if not any(devices.glob("nvidia[0-9]*")):
        return False
    import torch

    return torch.cuda.is_available()


def trains_on_gpu(device: str) -> bool:
    """Return whether full runs are trained on GPUs, by what MIXWRIGHT_DEVICE says; `auto` looks at this machine."""
    return device == "cuda" or (device == "auto" and has_gpu())


def gpu_has_bfloat16() -> bool:
    """Return whether this machine has a GPU that computes in bfloat16 itself."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def gpu_memory_bytes() -> int | None:
    """Return the memory of this machine's first GPU, None without one."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
