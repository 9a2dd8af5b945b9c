"""Runs that are killed at chosen moments and called again, beside one that was not: a program that prints a line per case.

Each attempt is a fork of a process that has imported what it needs and computed nothing. SIGKILL is what ends it, so that no
handler, no buffer and no thread has a last word.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tasks.core.digest import digest_bytes, digest_file
from tasks.tokenize.pool import TokenPool
from tasks.training import checkpoint, measure, tensor_file
from tasks.training.data import Batch
from tasks.training.data_config import EvaluationConfig
from tasks.training.ledger import ConsumptionLog
from tasks.training.parallel.ddp import Ddp
from tasks.training.run import train
from tasks.training.segments import steps_of_samples
from tasks.training.types import Phase, RunSpec
from tests.training.conftest import LENGTH, make_pool, small_training

STEPS = 16
# The mixture changes within step 7; gamma, with 37 samples, begins anew within step 11; behind step 12 samples
# are longer and have metadata.
SWITCH, WRAP, LONGER = 7, 11, 12


@dataclass(frozen=True)
class Kind:
    """How a run computes: eager in the stack, or as one model whose layers are compiled."""

    precision: str
    compiled: bool = False


@dataclass(frozen=True)
class Case:
    """When a run is killed: at the `count`-th time of a moment, or, by the `clock`, after `count` percent of its time."""

    moment: str
    count: int
    kind: Kind


def spec_of(kind: Kind) -> RunSpec:
    """Return a run of three phases that repeats a domain, is evaluated, and ends with longer samples and metadata."""
    training = small_training(
        num_tokens=STEPS * 4 * LENGTH,
        precision=kind.precision,
        parallel=Ddp(compile=True) if kind.compiled else None,
        evaluations=EvaluationConfig(every_steps=5, tokens_per_domain=64),
    )
    first = (SWITCH - 1) * 4 + 2
    phases = (
        Phase(first * LENGTH, (0.1, 0.0, 0.9)),
        Phase((LONGER * 4 - first) * LENGTH, (0.0, 0.1, 0.9)),
        Phase((STEPS - LONGER) * 4 * LENGTH, (0.5, 0.3, 0.2), sequence_length=2 * LENGTH, rope_base=1e5, metadata=True),
    )
    return RunSpec("killed", phases, 0, training)


def attempt(spec: RunSpec, pool: TokenPool, folder: Path, case: Case | None) -> int:
    """Train in a fork, from the checkpoints in `folder` on; return the signal that ended it, 0 for none."""
    child = os.fork()
    if not child:
        try:
            _train(spec, pool, folder, case)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    if case is not None and case.moment == "clock":
        time.sleep(case.count / 100 * _DURATION[case.kind])
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0 or case is not None, "an attempt that nobody killed failed"
    return 0


_DURATION: dict[Kind, float] = {}


def _train(spec: RunSpec, pool: TokenPool, folder: Path, case: Case | None) -> None:
    """Train, note which tokens every step takes, and die when the case says so."""
    counted = ConsumptionLog.add

    def noted(log: ConsumptionLog, batch: Batch, weights_ST: Tensor | None = None) -> None:
        counted(log, batch, weights_ST)
        step = int(steps_of_samples(spec.segments, np.array([batch.start]))[0])
        with (folder / "samples").open("a") as stream:
            stream.write(f"{step} {hashlib.sha256(batch.tokens.tobytes()).hexdigest()}\n")

    ConsumptionLog.add = noted  # type: ignore[method-assign]
    on_step: Callable[[int, float], None] = lambda step, loss: None  # noqa: E731
    match case.moment if case else None:
        case "step":
            die = _on_the(case.count)  # type: ignore[union-attr]
            on_step = lambda step, loss: die()  # noqa: E731
        case "block":
            _before(tensor_file, "_header", case.count)  # type: ignore[union-attr]
        case "flush":
            _before(checkpoint, "_flush", case.count)  # type: ignore[union-attr]
        case "evaluation":
            _before(measure, "nats_per_row", case.count)  # type: ignore[union-attr]
    run = train(spec, pool, checkpoints=folder / "checkpoints", on_step=on_step)
    weights = b"".join(name.encode() + weight.detach().numpy().tobytes() for name, weight in run.model.weights.items())
    value = {
        "weights": digest_bytes(weights),
        "losses": run.losses,
        "ledger": asdict(run.ledger),
        "evaluations": run.evaluations,
    }
    (folder / "result.json").write_text(json.dumps(value))
    os._exit(0)


def _on_the(count: int) -> Callable[[], None]:
    left = iter(range(count - 1))

    def die() -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def _before(module: Any, name: str, count: int) -> None:
    die, original = _on_the(count), getattr(module, name)

    def dying(*args: Any, **options: Any) -> Any:
        die()
        return original(*args, **options)

    setattr(module, name, dying)


def outcome(folder: Path) -> dict[str, Any]:
    """Return what a finished run left: result, last checkpoint (weights, optimizer state, account), tokens of each step.

    A step that was made twice must have taken the same tokens twice.
    """
    steps: dict[str, set[str]] = {}
    for line in (folder / "samples").read_text().splitlines():
        step, digest = line.split()
        steps.setdefault(step, set()).add(digest)
    last = folder / "checkpoints" / f"step-{STEPS:09d}"
    return {
        **json.loads((folder / "result.json").read_text()),
        "checkpoint": {path.name: digest_file(path) for path in last.iterdir()},
        "samples": {step: sorted(digests) for step, digests in steps.items()},
    }


def main(cases: list[Case]) -> None:
    """Print of each case the signal that ended its first attempt, and in what its end differs from the undisturbed."""
    with tempfile.TemporaryDirectory() as name:
        place, whole = Path(name), dict[Kind, dict[str, Any]]()
        pool = make_pool(place / "pool", metadata=True)
        for number, case in enumerate(cases):
            spec, folder = spec_of(case.kind), place / str(number)
            if case.kind not in whole:
                undisturbed, began = place / f"undisturbed-{len(whole)}", time.monotonic()
                undisturbed.mkdir()
                attempt(spec, pool, undisturbed, None)
                _DURATION[case.kind], whole[case.kind] = time.monotonic() - began, outcome(undisturbed)
            folder.mkdir()
            ended = attempt(spec, pool, folder, case)
            attempt(spec, pool, folder, None)
            found = outcome(folder)
            different = [key for key, value in whole[case.kind].items() if found[key] != value]
            print(json.dumps({"signal": ended, "different": different}), flush=True)
            shutil.rmtree(folder)


def moments(count: int, seed: int) -> list[Case]:
    """Return random moments of each sort, half of them in each precision; the last five of compiled layers."""
    chosen = random.Random(seed)
    most = {"step": STEPS, "block": 6, "flush": 18, "evaluation": 9, "clock": 95}
    kinds = [*most, "switch", "wrap", "longer"]
    cases = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        at = {"switch": SWITCH, "wrap": WRAP, "longer": LONGER}.get(kind) or chosen.randint(1, most[kind])
        how = Kind(("float32", "bfloat16")[(number // len(kinds) + number) % 2], compiled=number >= count - 5)
        cases.append(Case(kind if kind in most else "step", at, how))
    return cases


if __name__ == "__main__":
    main([Case(case["moment"], case["count"], Kind(**case["kind"])) for case in json.loads(sys.argv[1])])
