"""The driver of the report stage: one unit reads the stages' folders and writes one page, and a model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.handles import Tree
from tasks.core.manifest import Manifest
from tasks.core.results import Here, UnitResult
from tasks.report.card import model_card
from tasks.report.config import ReportParams
from tasks.report.load import INPUTS, READ, read_content
from tasks.report.numbers import GAINS, LOSSES, METRICS, REGRET, files
from tasks.report.page import render
from tasks.runtime.context import Workshop
from tasks.runtime.stages import StageRun, stage_input
from tasks.runtime.step import Step

STAGE = "report"
PAGE = "report.html"
CARD = "model_card.md"
FILES = (PAGE, CARD, METRICS, LOSSES, REGRET, GAINS)


@dataclass(frozen=True)
class PageArgs:
    """What the page is made of: the files of every stage, with its manifest."""

    stages: Mapping[str, Tree]
    params: ReportParams


def write_page(args: PageArgs, here: Here) -> UnitResult:
    """Write the page, the card of the exported model, and the numbers that DVC compares."""
    content = read_content({name: tree.local() for name, tree in args.stages.items()}, args.params)
    (here.folder / PAGE).write_text(render(content, args.params), encoding="utf-8")
    (here.folder / CARD).write_text(model_card(content), encoding="utf-8")
    for name, text in files(content).items():
        (here.folder / name).write_text(text, encoding="utf-8")
    decision = content.evaluation.decision
    return UnitResult(summary={"claim": decision.claim, "statement": decision.statement, "page": PAGE})


WRITE = Step("report.page", "report: page", write_page)


def run(params: ReportParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Write the one page to look at: what was dropped, the domains, the mixture, the evidence, the lineage."""
    given = {name: stage_input(workshop, inputs, name) for name in INPUTS}
    # The page tells keys, params and environments too, which stand in the manifests and in no output digest.
    trees = {name: each.with_manifest(*READ[name]) for name, each in given.items()}
    digests = {name: each.digest for name, each in given.items()}
    digests |= {f"{name} (what the page reads)": tree.digest for name, tree in trees.items()}
    stage = StageRun(workshop, STAGE, __name__, params, digests, output)
    if (found := stage.unchanged()) is not None:
        return found
    page = WRITE.one(workshop, PageArgs(trees, params))
    return stage.publish({name: page.file(name) for name in FILES}, summary=page.summary)
