"""The driver of the report stage: one unit reads the stages' folders and writes one page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.digest import digest_code, digest_file, digest_json
from tasks.core.manifest import MANIFEST, Manifest, stage_key
from tasks.core.stage import UnitResult, Workshop, map_units, publish, stage_input, unchanged
from tasks.report.config import ReportParams
from tasks.report.load import INPUTS, READ, read_story
from tasks.report.page import render

STAGE = "report"
CODE = ("tasks.core", "tasks.report")
PAGE = "report.html"


@dataclass(frozen=True)
class _PageArgs:
    folders: tuple[tuple[str, Path], ...]
    params: ReportParams


def run(params: ReportParams, *, inputs: Mapping[str, Path], output: Path, workshop: Workshop) -> Manifest:
    """Write the one page to look at: what was dropped, the domains, the mixture, the evidence, the lineage."""
    given = {name: stage_input(inputs, name) for name in INPUTS}
    folders = {name: each.folder for name, each in given.items()}
    digests = {name: each.digest for name, each in given.items()}
    # The page tells keys, params and environments too, which stand in the manifests and in no output digest.
    digests["manifests"] = digest_json({name: digest_file(folder / MANIFEST) for name, folder in folders.items()})
    values, code = params.model_dump(mode="json"), digest_code(CODE)
    if (done := unchanged(output, stage=STAGE, inputs=digests, params=values, code=code)) is not None:
        workshop.observer.say("report: unchanged (same inputs, params and code), taken as it is")
        return done
    for name, each in given.items():
        each.verified(*READ[name])
    unit = (stage_key("report.page", digests, values, code), _PageArgs(tuple(folders.items()), params))
    page = map_units(workshop, stage=STAGE, label="report: page", work=_write, units=[unit], packages=CODE)[0]
    return publish(
        output,
        {PAGE: page.file(PAGE)},
        lambda files: Manifest(STAGE, digests, values, code, files, summary=page.summary),
    )


def _write(args: _PageArgs, folder: Path) -> UnitResult:
    story = read_story(dict(args.folders), args.params)
    (folder / PAGE).write_text(render(story, args.params), encoding="utf-8")
    decision = story.evaluation.decision
    return UnitResult(summary={"claim": decision.claim, "statement": decision.statement, "page": PAGE})
