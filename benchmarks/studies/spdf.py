"""SPDF: three quarters of the weights held at zero for most of a run, then dense, against dense runs.

    python -m benchmarks.studies.spdf FOLDER [--seeds 4] [--tokens 131072]

A random mask of 75 % holds for the first three quarters of the steps (arXiv 2303.10464; its masks hold for all of the
pre-training, and the dense steps are those of a fine-tuning). Dense runs have as many tokens, or as many operations as the
sparse one would take on hardware that leaves zeros out, and so fewer tokens. The claim: a small loss for many operations
less.
"""

from benchmarks.studies.bytes_of_text import END, STEP, byte_pool, measured, stacked, training
from benchmarks.studies.study import Option, Study, difference, run, table, verdict
from tasks.training.config import TrainingConfig
from tasks.training.model_size import num_flops
from tasks.training.static_mask import flops_if_sparse

SPARSITY, SHARE = 0.75, 0.75
DENSE, SPDF, SPARSE, EQUAL = "dense", "sparse, then dense", "sparse", "dense, as many operations"


def compared(study: Study) -> str:
    """Train all arms with each seed, and return what came out."""
    tokens, seeds = study.options.tokens, range(study.options.seeds)
    pool, arms = byte_pool(study.data, study.scratch(), tokens), arms_of(tokens)
    found = {}
    for name, config in arms.items():
        found[name] = {"bits per byte": [measured(one.model, pool) for one in stacked(config, pool, seeds)]}
        print(name, found[name], flush=True)
    bits = {name: values["bits per byte"] for name, values in found.items()}
    saved = 1 - flops_if_sparse(arms[SPDF], END + 1) / num_flops(arms[SPDF], END + 1)
    return (
        f"{tokens:,} bytes of English, once, 0.1M parameters, {len(seeds)} paired seeds; {SPARSITY:.0%} of the matrices of "
        f"the blocks at zero for {SHARE:.0%} of the steps, in theory {saved:.0%} of the operations less; "
        f"`{EQUAL}` has {arms[EQUAL].num_tokens:,} tokens.\n\n{table(found, DENSE)}\n\n"
        f"What it loses to a dense run of as many tokens: {difference(bits[SPDF], bits[DENSE])} bits per byte. Better than "
        f"a dense run of as many operations ({difference(bits[SPDF], bits[EQUAL])}): {verdict(bits[SPDF], bits[EQUAL])}."
    )


def arms_of(tokens: int) -> dict[str, TrainingConfig]:
    """Return the config of each arm."""
    steps = int(SHARE * (tokens // STEP))
    sparse = training(tokens, static_mask={"sparsity": SPARSITY, "sparse_steps": steps})
    share = flops_if_sparse(sparse, END + 1) / num_flops(sparse, END + 1)
    return {
        DENSE: training(tokens),
        SPDF: sparse,
        SPARSE: training(tokens, static_mask={"sparsity": SPARSITY}),
        EQUAL: training(int(share * tokens)),
    }


if __name__ == "__main__":
    run("spdf", __doc__, compared, Option("seeds", 4, "of each arm"), Option("tokens", 131_072, "of each run"))
