"""DDK: a student that is shown more of the domains in which it is furthest behind its teacher.

    python -m benchmarks.studies.ddk FOLDER [--seeds 3] [--steps 96]

Six sources alike, as bytes. `cross-entropy`: no teacher; `distilled`: the loss of DDK (arXiv 2407.16154), cross-entropy and
0.2 times the divergence from a teacher of four times the parameters and twice the tokens; `DDK`: the same, and the mixture
of each further quarter of the steps decided by the hook `ddk`. A gap is what a domain costs the student more than the
teacher, in bits per byte: the recipe's check is that gaps become alike faster than in `distilled`.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pvariance

from benchmarks.studies.bytes_of_text import STEP, as_teacher, stacked, training
from benchmarks.studies.loss_reweighting import pool_of
from benchmarks.studies.study import SEEDS, Option, Study, Values, difference, run, table, verdict
from tasks.core.results import Here
from tasks.tokenize.pool import TokenPool
from tasks.training.config import TrainingConfig
from tasks.training.hooks.ddk import Ddk
from tasks.training.measure import bits_per_byte
from tasks.training.model import Decoder
from tasks.training.planned import StageHook, train_planned
from tasks.training.starts.start import Start
from tasks.training.types import Phase, RunSpec

LOSS = {"weight": 0.2, "cross_entropy_weight": 1.0}
PLAIN, DISTILLED, DDK = "cross-entropy", "distilled", "DDK"
STAGES, HELD_OUT, MEASURED = 4, 8_192, 4_096


def compared(study: Study) -> str:
    """Train every arm with every seed, and return what it reaches and how unlike its gaps are."""
    tokens, seeds, folder = study.options.steps * STEP, range(study.options.seeds), study.scratch()
    pool = pool_of(folder / "pool", study.data)
    (large,) = stacked(training(2 * tokens, hidden=128), pool, [100])
    teacher, reached = as_teacher(large.model, folder / "teacher"), _bits(large.model, pool)
    taught, found, weights = training(tokens, distillation=LOSS), dict[str, Values](), list[Sequence[float]]()
    arms: dict[str, list[Decoder]] = {
        PLAIN: [one.model for one in stacked(training(tokens), pool, seeds)],
        DISTILLED: [one.model for one in stacked(taught, pool, seeds, teachers=(teacher,))],
        DDK: [],
    }
    for seed in seeds:
        model, own = _decided(taught, pool, seed, teacher, folder / f"seed-{seed}")
        arms[DDK].append(model)
        weights += own
    for name, models in arms.items():
        bits = [_bits(one, pool) for one in models]
        gaps = [[own - best for own, best in zip(one, reached, strict=True)] for one in bits]
        found[name] = {
            "bits per byte": [fmean(one) for one in bits],
            "variance of gaps": [pvariance(one) for one in gaps],
        }
        print(name, found[name], flush=True)
    alike, lower = (_pair(found, measure) for measure in ("variance of gaps", "bits per byte"))
    shares = zip(pool.names, zip(*weights, strict=True), strict=True)
    ends = ", ".join(f"{name} {min(own):.2f} to {max(own):.2f}" for name, own in shares)
    return (
        f"{tokens:,} bytes of six sources, 0.1M parameters, teacher 0.4M with {fmean(reached):.4f} bits per byte, "
        f"{len(seeds)} paired seeds, means over sources.\n\n{table(found, DISTILLED)}\n\nGaps more alike with DDK than "
        f"distilled on all alike: {difference(*alike)}: {verdict(*alike)}. Bits per byte: {difference(*lower)}: "
        f"{verdict(*lower)}. "
        f"What the hook decided (1 / 6 = 0.17): {ends}. The teacher's own training is not counted."
    )


def _decided(
    config: TrainingConfig, pool: TokenPool, seed: int, teacher: Start, folder: Path
) -> tuple[Decoder, list[Sequence[float]]]:
    """Return the model of a run whose later stages a hook decides, and the weights of these."""
    alike = (1 / len(pool.names),) * len(pool.names)
    phases = (Phase(config.num_tokens // STAGES, alike),) * STAGES
    hook = Ddk(kind="ddk", tokens_per_domain=MEASURED)
    hooks = [StageHook(stage, hook) for stage in range(1, STAGES)]
    folder.mkdir()
    spec = RunSpec(f"seed {seed}", phases, seed, config, teachers=(teacher,))
    made, decided = train_planned(spec, hooks, pool, Here(folder=folder, scratch=folder), None)
    return made.model, [phase.weights for phase in decided.phases[1:]]


def _bits(model: Decoder, pool: TokenPool) -> list[float]:
    return list(bits_per_byte(model, pool, "test", HELD_OUT).values())


def _pair(found: dict[str, Values], measure: str) -> tuple[Sequence[float], Sequence[float]]:
    return found[DDK][measure], found[DISTILLED][measure]


if __name__ == "__main__":
    run("ddk", __doc__, compared, SEEDS, Option("steps", 96, "of 1,024 bytes, in four stages"))
