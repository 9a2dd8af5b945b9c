"""What this machine can compute natively."""

from pathlib import Path

import pytest

from infra.machine import cpu_flags, has_gpu, instruction_set, trains_on_gpu


def test_the_flags_are_those_that_every_cpu_of_the_machine_has(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx2"}


def test_a_machine_without_a_list_has_no_flags(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()


def test_a_machine_without_device_files_has_no_gpu_and_does_not_ask_torch(tmp_path: Path) -> None:
    assert not has_gpu(tmp_path)


@pytest.mark.parametrize(
    ("asked", "there", "used"), [("auto", False, False), ("auto", True, True), ("cpu", True, False)]
)
def test_full_runs_are_trained_on_a_gpu_where_there_is_one_or_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, there: bool, used: bool
) -> None:
    monkeypatch.setattr("infra.machine.has_gpu", lambda: there)
    assert trains_on_gpu(asked) == used
    assert trains_on_gpu("cuda")


def test_the_instruction_set_names_torchs_level_and_what_caps_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    free = instruction_set()
    assert free.split()[0] == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    assert instruction_set() == f"{free} (oneDNN at most AVX2)"
