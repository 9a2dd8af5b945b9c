"""What studies of data in time share: a pool of the shared corpus with scores and metadata, and arms that are trained on it.

Domains are the corpus's sources. Every document has a score, `med_mean`, DSIR's mean log ratio for abstracts of PubMed
(`pubmed_qa_labeled`), and stands behind its source where a stage has metadata. Models are the demo's proxies: 0.25M
parameters, 100 steps of 1,024 tokens. What FOLDER has is taken: a stopped study goes on, and studies of one folder share the
pool.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.inline import inline_workshop
from benchmarks.studies.study import Option, Study, run
from tasks.arms.config import ArmsParams
from tasks.arms.pools import PoolParams
from tasks.arms.published import ArmsComparison
from tasks.arms.stage import run as run_arms
from tasks.cluster.config import ClusterParams
from tasks.core.rng import seed_of
from tasks.core.text_table import markdown_table
from tasks.core.words import signed
from tasks.curate.config import CurateParams
from tasks.ingest import stage as ingesting
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.runtime.context import Workshop
from tasks.tokenize.config import TokenizeParams
from tasks.training.params import demo_proxy

DOMAIN = "qa"
SCORE = "med_mean"


def main(name: str, told: str, asked: Callable[[argparse.Namespace], Mapping[str, Mapping[str, Any]]]) -> None:
    """Make the pool, compare the arms of each question, print and write down what came out."""

    def compared(study: Study) -> str:
        every, seeds = study.options.every, study.options.seeds
        workshop, _ = inline_workshop(study.folder / "store")
        pool = pool_of(study.folder, study.data, every, workshop)
        what = f"one document in {every} of the shared corpus, {seeds} seeds, 0.25M parameters, 0.1M tokens each"
        parts = [f"{what}.\n\n{told}"]
        for question, values in asked(study.options).items():
            output = study.folder / f"{name}-{question}"
            run_arms(arms_of(values, seeds), inputs={"tokenize": pool}, output=output, workshop=workshop)
            parts.append(f"# {question}\n\n" + table(ArmsComparison.read(output)))
        return "\n".join(parts)

    run(name, told, compared, Option("every", 15, "one document in so many"), Option("seeds", 5, "of each arm"))


def arms_of(values: Mapping[str, Any], seeds: int) -> ArmsParams:
    """Return the arms of a question, with the models that all studies here have."""
    training = demo_proxy().decided("float32")
    return ArmsParams.model_validate(
        {"training": training, "num_seeds": seeds, "test_tokens_per_domain": 2048, "max_epochs": 8.0, **values}
    )


def pool_of(folder: Path, data: Path, every: int, workshop: Workshop) -> Path:
    """Return the folder of the token pool of one document in `every`, by a hash of ids."""
    (folder / "input").mkdir(parents=True, exist_ok=True)
    path, target = folder / "input" / "documents.jsonl", folder / "target.jsonl"
    if not path.is_file():
        path.write_text("".join(_sampled(data, every)), encoding="utf-8")
        abstracts = (data / "evals" / "pubmed_qa_labeled.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [
            json.dumps({"id": str(place), "text": json.loads(line)["context"]}) for place, line in enumerate(abstracts)
        ]
        target.write_text("\n".join(texts) + "\n", encoding="utf-8")
    write_listing(list_inputs([str(folder / "input")]), folder / "raw")
    ingesting.run(IngestParams(), inputs={"raw": folder / "raw"}, output=folder / "ingest", workshop=workshop)
    scorer = {"kind": "dsir", "name": SCORE.removesuffix("_mean"), "target": [str(target)]}
    params = PoolParams(
        CurateParams.model_validate({"profiles": {"all": {"rules": {}}}, "profile": "all", "scorers": [scorer]}),
        ClusterParams.model_validate(
            {"domains": {"kind": "source", "min_documents": 3}, "split": {"test_fraction": 0.25}}
        ),
        TokenizeParams.model_validate(
            {"tokenizer": {"kind": "bpe", "vocab_size": 4096}, "document_columns": [SCORE], "metadata": "source"}
        ),
    )
    return params.make(folder / "ingest", folder / "pool", workshop)


def table(found: ArmsComparison) -> str:
    """Return what is claimed, and each arm's mean scores with its gain over the baseline and the interval."""
    arms = list(dict.fromkeys(one.arm for one in found.runs))
    by_arm = {one.arm: one for one in found.comparisons}
    domains = [name for name in found.directions if name.startswith("bits_per_byte.")]

    def mean(arm: str, names: Sequence[str]) -> float:
        return fmean(run.scores[name] for run in found.runs if run.arm == arm for name in names)

    own, others = f"bits_per_byte.{DOMAIN}", [name for name in domains if name != f"bits_per_byte.{DOMAIN}"]

    def rows() -> Iterator[tuple[str, ...]]:
        for arm in arms:
            one = by_arm.get(arm)
            ends = None if one is None else one.ends
            gain = "" if one is None else signed(one.gain)
            interval = "" if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"
            yield (
                arm,
                f"{mean(arm, domains):.4f}",
                f"{mean(arm, [own]):.4f}",
                f"{mean(arm, others):.4f}",
                gain,
                interval,
            )

    head = ("arm", "all domains", DOMAIN, "other domains", f"gain in {found.primary}", "interval")
    lines = [*(f"* {one.statement}" for one in found.comparisons), "", *markdown_table(head, rows())]
    return "\n".join(lines) + "\n"


def _sampled(data: Path, every: int) -> Iterator[str]:
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from (line for line in lines if seed_of(0, "sample", json.loads(line)["id"]) % every == 0)
