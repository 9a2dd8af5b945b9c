"""Crystal's phases of text and code: whether a code-centric phase at the end helps.

    python -m benchmarks.studies.crystal FOLDER [--seeds 4] [--tokens 131072]

The arms and shares are those of the preset `crystal` (arXiv 2411.04156) on prose and source code as bytes: text, then text
and code (`two_phases`); the same with ten parts of code to one of text in the last 8 % of the tokens (`code_at_the_end`);
and the tokens of all phases as one mixture (`throughout`). The paper, at 7B parameters, found no gain of the last phase.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from benchmarks.inputs import ROOT
from benchmarks.studies.bytes_of_text import END, FILES, STEP, stacked, stream, texts_of, training
from benchmarks.studies.study import Option, Study, Values, difference, run, table, verdict
from tasks.core.rng import generator
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.training.measure import bits_per_byte
from tasks.training.types import Phase

DOMAINS: Mapping[str, Sequence[str]] = {"text": FILES, "code": ("code_*",)}
BEFORE, LATE, HELD_OUT = "two_phases", "code_at_the_end", 32_768


def compared(study: Study) -> str:
    """Train every arm with every seed, and return what it reaches on text and code."""
    tokens, seeds = study.options.tokens, range(study.options.seeds)
    pool, found = pool_of(study.data, study.scratch(), tokens), dict[str, Values]()
    for name, phases in phases_of(training(tokens).num_tokens).items():
        runs = stacked(training(tokens), pool, seeds, phases)
        bits = [bits_per_byte(one.model, pool, "test") for one in runs]
        found[name] = {domain: [one[domain] for one in bits] for domain in DOMAINS}
        print(name, found[name], flush=True)
    code, text = ((found[LATE][domain], found[BEFORE][domain]) for domain in ("code", "text"))
    return (
        f"{tokens:,} bytes, 0.1M parameters, {len(seeds)} paired seeds; bits per byte of held-out documents.\n\n"
        f"{table(found, BEFORE)}\n\nA code-centric phase at the end helps on code: {difference(*code)}: {verdict(*code)}. "
        f"On text: {difference(*text)}: {verdict(*text)}."
    )


def phases_of(tokens: int) -> dict[str, list[Phase]]:
    """Return the phases of the preset's arms, in whole steps."""
    arms = yaml.safe_load((ROOT / "configs" / "arms" / "crystal.yaml").read_text(encoding="utf-8"))["arms"]
    named = {arm["name"]: arm.get("stages") or [{"share": 1.0, "weights": arm["weights"]}] for arm in arms}
    found = {name: _phases(stages, tokens) for name, stages in named.items()}
    (late,) = found[LATE]
    *first, last = found[BEFORE]
    return found | {LATE: [*first, Phase(last.num_tokens - late.num_tokens, last.weights), late]}


def _phases(stages: Sequence[Mapping[str, Any]], tokens: int) -> list[Phase]:
    found = []
    for stage in stages:
        weights = [stage["weights"].get(domain, 0) for domain in DOMAINS]
        shares = tuple(weight / sum(weights) for weight in weights)
        found.append(Phase(round(stage["share"] * tokens / STEP) * STEP, shares))
    return found


def pool_of(data: Path, folder: Path, tokens: int) -> TokenPool:
    """Return text and code as bytes, documents in a random order, each domain with as many tokens as a run."""
    domains = {}
    for name, patterns in DOMAINS.items():
        texts = list(chain.from_iterable(texts_of(data, pattern) for pattern in patterns))
        order = generator(0, "text and code", name).permutation(len(texts)).tolist()
        found = stream((texts[place] for place in order), tokens + HELD_OUT)
        domains[name] = {"test": found[:HELD_OUT], "train": found[HELD_OUT:]}
    return write_pool(folder, domains, vocab_size=END + 1, document_end=END)


if __name__ == "__main__":
    run("crystal", __doc__, compared, Option("seeds", 4, "of each arm"), Option("tokens", 131_072, "of each run"))
