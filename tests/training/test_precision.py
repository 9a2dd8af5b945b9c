"""`precision: auto` is bfloat16 only where a device multiplies in it, and is decided before a run starts."""

import pytest

from tasks.core.errors import ConfigError
from tasks.tokenize.pool import TokenPool
from tasks.training.precision import native_precision
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tasks.training.types import Device
from tests.training.conftest import small_spec, small_training

LAPTOP = {"sse4_1", "avx", "avx2", "fma"}
SERVER = LAPTOP | {"avx512f", "avx512bw", "avx512vl", "avx512dq"}
ZEN4 = SERVER | {"avx512_bf16"}
SAPPHIRE_RAPIDS = ZEN4 | {"amx_tile", "amx_int8", "amx_bf16"}
MASKED = SERVER | {"amx_tile", "amx_bf16"}


@pytest.mark.parametrize(
    ("flags", "environment", "precision"),
    [
        (set(), {}, "float32"),
        (LAPTOP, {}, "float32"),
        (SERVER, {}, "float32"),
        (ZEN4, {}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {}, "bfloat16"),
        (MASKED, {}, "bfloat16"),
        (LAPTOP, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "SSE41"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "avx2"}, "float32"),
        (ZEN4, {"DNNL_MAX_CPU_ISA": "AVX2"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI_2"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, "bfloat16"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, "bfloat16"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "ALL"}, "bfloat16"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "no such cap"}, "bfloat16"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "", "DNNL_MAX_CPU_ISA": "AVX512_CORE"}, "float32"),
        (ZEN4, {"ONEDNN_MAX_CPU_ISA": "ALL", "DNNL_MAX_CPU_ISA": "AVX2"}, "bfloat16"),
        (SAPPHIRE_RAPIDS, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "float32"),
        (SAPPHIRE_RAPIDS, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, "bfloat16"),
        (MASKED, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, "float32"),
        (MASKED, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, "bfloat16"),
        (ZEN4, {"ATEN_CPU_CAPABILITY": "avx2"}, "float32"),
        (ZEN4, {"ATEN_CPU_CAPABILITY": "default"}, "float32"),
        (ZEN4, {"ATEN_CPU_CAPABILITY": "avx512"}, "bfloat16"),
        (ZEN4, {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "ALL"}, "float32"),
    ],
)
def test_a_cpu_takes_bfloat16_where_it_has_it_and_no_cap_forbids_it(
    flags: set[str], environment: dict[str, str], precision: str
) -> None:
    assert native_precision("cpu", flags, environment) == precision


@pytest.mark.parametrize(
    ("device", "gpu_bfloat16", "precision"),
    [("cuda", True, "bfloat16"), ("cuda", False, "float32"), ("cpu", True, "float32")],
)
def test_a_gpu_takes_what_it_supports_and_its_cpu_does_not_matter(
    device: Device, gpu_bfloat16: bool, precision: str
) -> None:
    assert native_precision(device, LAPTOP, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, gpu_bfloat16=gpu_bfloat16) == precision
    assert native_precision("cuda", SAPPHIRE_RAPIDS, {}, gpu_bfloat16=False) == "float32"


def test_what_is_named_is_taken_whatever_the_machine() -> None:
    for named in ("float32", "bfloat16"):
        training = small_training(precision=named)
        assert training.decided("float32") is training.decided("bfloat16") is training
    assert small_training(precision="auto").decided("bfloat16") == small_training(precision="bfloat16")


def test_a_run_that_nobody_decided_about_is_refused(pool: TokenPool) -> None:
    spec = small_spec(precision="auto")
    with pytest.raises(ConfigError, match="precision is auto"):
        train(spec, pool)
    with pytest.raises(ConfigError, match="precision is auto"):
        train_stacked([spec], pool)
