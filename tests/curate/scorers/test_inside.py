"""A target that lies inside the pool is counted and said, and nothing is refused."""

import json
from pathlib import Path
from typing import get_args

from click.testing import CliRunner

from cli.ask import scores
from tasks.curate.config import CurateParams
from tasks.curate.published.funnel import Funnel
from tasks.curate.published.scored import Scored
from tasks.curate.scorers import kinds
from tasks.curate.scorers.inside import target_texts
from tasks.curate.scorers.method import Target
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop


def test_a_text_is_one_of_a_target_whatever_its_blanks_alone_or_with_the_rest_of_its_record() -> None:
    target = target_texts([("What is a fever, and when does it go?", "A high temperature."), ("",)])
    inside = ["What is a fever,  and\nwhen does it go?", "What is a fever, and when does it go?\n\nA high temperature."]
    assert all(text in target for text in [*inside, " A high temperature.\n"])
    assert not any(text in target for text in ["", "What is a fever, and when", "a high temperature."])


def test_documents_that_are_texts_of_a_target_are_counted_and_said(tmp_path: Path) -> None:
    texts = ["the dose of the drug", "the court held so", "the  dose\nof the drug", "another text"]
    ingest_folder(tmp_path / "ingest", [[document(f"d{i}", text) for i, text in enumerate(texts)]])
    (tmp_path / "target.jsonl").write_text(json.dumps({"text": texts[0]}) + "\n")
    scorer = {"kind": "dsir", "name": "med", "target": [str(tmp_path / "target.jsonl")], "num_buckets": 50}
    same = {"kind": "metadata", "name": "tier", "values": {"docs": 1}}
    values = {"scorers": [scorer, same], "profile": "p", "profiles": {"p": {"rules": {}}}, "duplicates": None}
    params = CurateParams.model_validate(values)
    run(params, inputs={"ingest": tmp_path / "ingest"}, output=tmp_path / "out", workshop=workshop(tmp_path))
    assert len(rows(tmp_path / "out", "kept")) == 4
    assert Scored.read(tmp_path / "out").scorers["med"].in_target == 2
    warnings = Funnel.read(tmp_path / "out").warnings
    assert any(one.startswith("scorer med: 2 documents are texts of its target") for one in warnings)
    assert any(one.startswith("scorer med: the target has 5 words, which say little") for one in warnings)
    assert any(one.startswith("scorer tier: it says the same of all 4 documents (1): what") for one in warnings)
    assert sum("says the same" in one for one in warnings) == 1
    told = CliRunner().invoke(scores, [str(tmp_path / "out")]).output
    assert "documents that are texts of its target 2" in told


def test_every_scorer_with_a_target_says_which_of_its_files_it_is() -> None:
    scorers = [one for one in get_args(get_args(kinds.Scorer)[0]) if "target" in one.model_fields]
    assert {one.__name__ for one in scorers} == {"Betr", "Dp4tl", "Dsir", "Mass", "SimCore"}
    for one in scorers:
        config = one.model_construct(name="near", target=("t.jsonl",), fields=("q",))
        target = kinds.method(config).target
        assert target is not None
        assert target(config, ["target.t"]) == Target(("target.t",), ("q",))
