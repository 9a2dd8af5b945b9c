"""What `precision: auto` means: bfloat16 where a device multiplies in it natively, else float32.

A CPU that only emulates it is up to ten times slower than in float32. The libraries' own answers do not help: that of
torch about AVX512-BF16 knows no cap of the environment, that about oneDNN is yes on every AVX512.
"""

from collections.abc import Collection, Mapping

from tasks.training.config import Precision
from tasks.training.types import Device

# Values of oneDNN's cap below the instructions named; it knows no case, and takes a value it does not know for no cap.
_BELOW_AVX512_BF16 = frozenset({"sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni"})
_BELOW_AMX = _BELOW_AVX512_BF16 | {"avx512_core_bf16", "avx512_core_fp16", "avx10_1_512", "avx10_2", "avx10_2_512"}
# Values of torch's cap below AVX512: with them an emulated CPU says what it is.
_BELOW_AVX512 = frozenset({"default", "avx2"})


def native_precision(
    device: Device, cpu_flags: Collection[str], environment: Mapping[str, str], *, gpu_bfloat16: bool = False
) -> Precision:
    """Return the precision in which a device multiplies fastest, from facts about it.

    `cpu_flags` are those of the kernel (`avx512_bf16`, ...); `gpu_bfloat16`: the GPU supports bfloat16 itself.

    >>> native_precision("cpu", {"avx2", "avx512f", "avx512_bf16"}, {})
    'bfloat16'
    >>> native_precision("cpu", {"avx2", "avx512f", "avx512_bf16"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    'float32'
    """
    native = gpu_bfloat16 if device == "cuda" else _cpu_has_bfloat16(cpu_flags, environment)
    return "bfloat16" if native else "float32"


def _cpu_has_bfloat16(flags: Collection[str], environment: Mapping[str, str]) -> bool:
    if environment.get("ATEN_CPU_CAPABILITY", "").lower() in _BELOW_AVX512:
        return False
    # The order in which oneDNN looks.
    cap = (environment.get("ONEDNN_MAX_CPU_ISA") or environment.get("DNNL_MAX_CPU_ISA") or "").lower()
    return ("avx512_bf16" in flags and cap not in _BELOW_AVX512_BF16) or ("amx_bf16" in flags and cap not in _BELOW_AMX)
