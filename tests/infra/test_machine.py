"""What this machine can compute natively."""

from pathlib import Path

import pytest

from infra.machine import cpu_flags, instruction_set


def test_the_flags_are_those_that_every_cpu_of_the_machine_has(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx2"}


def test_a_machine_without_a_list_has_no_flags(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()


def test_the_instruction_set_names_torchs_level_and_what_caps_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    free = instruction_set()
    assert free.split()[0] == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    assert instruction_set() == f"{free} (oneDNN at most AVX2)"
