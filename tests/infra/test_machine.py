"""What this machine can compute natively."""

from pathlib import Path

from infra.machine import cpu_flags


def test_the_flags_are_those_that_every_cpu_of_the_machine_has(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx2"}


def test_a_machine_without_a_list_has_no_flags(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
