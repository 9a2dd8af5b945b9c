"""Stacked runs beside separate ones under each cap of the instruction set, as a program that prints a line of JSON for each.

Libraries read a cap once, when they first compute: so each cap is set in a fork of a process that has computed nothing.
A cap above the machine's own instructions changes nothing.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

from tasks.training.run import RunResult, train
from tasks.training.stacked import train_stacked
from tests.training.conftest import make_pool, small_spec

CAPS: dict[str, dict[str, str]] = {
    "SSE41": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "AVX512_CORE": {},
    "AVX512_CORE_BF16": {},
    "AVX512_CORE_AMX": {},
}


def difference(changes: dict[str, object]) -> str | None:
    """Return where two runs, stacked, leave what they are alone; None where they do not."""
    specs = [small_spec(seed=seed, **changes) for seed in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        pool = make_pool(Path(folder))
        for alone, together in zip([train(spec, pool) for spec in specs], train_stacked(specs, pool), strict=True):
            assert isinstance(together, RunResult)
            for step, losses in enumerate(zip(alone.losses, together.losses, strict=True)):
                if losses[0] != losses[1]:
                    return f"{changes}: the loss of step {step}"
            for name, weight in alone.model.weights.items():
                if not torch.equal(weight, together.model.weights[name]):
                    return f"{changes}: {name}"
    return None


def main() -> None:
    """Compare under each cap, with the changes that the first argument holds as JSON."""
    several = json.loads(sys.argv[1])
    for cap, others in CAPS.items():
        child = os.fork()
        if not child:
            os.environ.update({"ONEDNN_MAX_CPU_ISA": cap} | others)
            found = [difference(changes) for changes in several]
            print(json.dumps([cap, torch.backends.cpu.get_cpu_capability(), found]), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"{cap}: the comparison broke")


if __name__ == "__main__":
    main()
