"""Arms whose text is curated otherwise than a run's: their pools are made from what the run has ingested."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.compare import ARMS_PRESETS
from infra.storage import FolderStore
from tasks.arms.config import ArmsParams
from tasks.arms.pools import curated_pools
from tasks.arms.published import ArmsComparison
from tasks.arms.stage import run
from tasks.core.errors import ConfigError
from tasks.core.params import layered, read_yaml, validate
from tasks.ingest.config import IngestParams
from tasks.ingest.listing import list_inputs
from tasks.ingest.raw import write_listing
from tasks.runtime.context import Workshop
from tasks.runtime.stages import run_stage
from tasks.stages import STAGES
from tasks.tokenize.published import TOKENIZER_FILE, TokenPoolIndex
from tests.arms.test_presets import STAGED
from tests.in_process import InProcess, Listener
from tests.mixture.test_stage import PROXY

PARAMS: Mapping[str, Mapping[str, Any]] = {
    "ingest": {},
    "curate": {"profiles": {"short": {"rules": {"min_words": 20}}}, "profile": "short", "duplicates": {"near": None}},
    "cluster": {
        "domains": {"kind": "source", "min_documents": 5},
        "split": {"search_fraction": 0.2, "test_fraction": 0.2},
    },
    "tokenize": {"tokenizer": {"kind": "bpe", "vocab_size": 280}},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's stages, up to its pool: two sources, where every other document has 12 words and the rest 40."""
    root, drawn = tmp_path_factory.mktemp("run"), random.Random(0)
    words = {"prose": ["alpha", "beta", "gamma", "delta"], "code": ["return", "import", "lambda", "yield"]}
    lines = [
        json.dumps(
            {"id": f"{source}{n}", "source": source, "text": " ".join(drawn.choices(own, k=40 if n % 2 else 12))}
        )
        for source, own in words.items()
        for n in range(80)
    ]
    (root / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_listing(list_inputs([str(root / "text.jsonl")], IngestParams()), root / "raw")
    workshop = Workshop(InProcess(), FolderStore(root / "store"))
    for stage in STAGES[:4]:
        given = {name: root / name for name in stage.inputs}
        params = stage.load_params().model_validate(PARAMS[stage.name])
        run_stage(stage, params, inputs=given, output=root / stage.name, workshop=workshop)
    return root


def arms(*curations: dict[str, Any], **changes: Any) -> ArmsParams:
    named = [{"name": f"arm{number}", "curation": one} for number, one in enumerate(curations)]
    training = PROXY.model_copy(update={"num_tokens": 512})
    values = {"training": training, "arms": [{"name": "natural"}, *named], "num_seeds": 2, "max_epochs": 8.0}
    return ArmsParams.model_validate(values | changes)


def test_the_text_of_a_run_is_curated_again_for_an_arm_and_read_in_the_tokens_of_all(
    finished: Path, tmp_path: Path
) -> None:
    looser = {"curate": {"profiles": {"short": {"rules": {"min_words": 5}}}}}
    asked, executor, listener = arms(looser), InProcess(), Listener()
    workshop = Workshop(executor, FolderStore(finished / "store"), listener)
    inputs = curated_pools(asked, finished.__truediv__, tmp_path / "arms.pools", workshop)
    assert inputs == {
        "tokenize": finished / "tokenize",
        "curated for arm0": tmp_path / "arms.pools" / "curated-for-arm0" / "tokenize",
    }
    assert "annotate_shard" not in executor.done and not any("measured on" in line for line in listener.said)
    run(asked, inputs=inputs, output=tmp_path / "arms", workshop=workshop)
    assert {one.arm for one in ArmsComparison.read(tmp_path / "arms").runs} == {"natural", "arm0"}
    counts = [
        sum(domain.splits["train"].documents for domain in TokenPoolIndex.read(folder).domains)
        for folder in inputs.values()
    ]
    assert counts[1] > 1.5 * counts[0]
    tokenizers = {(folder / TOKENIZER_FILE).read_bytes() for folder in inputs.values()}
    assert len(tokenizers) == 1
    page = (tmp_path / "arms" / "page.html").read_text(encoding="utf-8")
    assert "<th>curate.profiles.short.rules.min_words</th>" in page
    with pytest.raises(ConfigError, match=r"1 pool\(s\) are missing; first: curated for arm0. Name the run by --run"):
        run(asked, inputs={"tokenize": finished / "tokenize"}, output=tmp_path / "other", workshop=workshop)


def test_it_is_said_how_much_of_what_is_measured_an_arm_is_trained_on(finished: Path, tmp_path: Path) -> None:
    listener = Listener()
    workshop = Workshop(InProcess(), FolderStore(finished / "store"), listener)
    curated_pools(arms({"cluster": {"seed": 1}}), finished.__truediv__, tmp_path / "pools", workshop)
    assert any("documents of its training text are measured on in the common pool" in line for line in listener.said)


def test_every_preset_is_an_experiment_and_sources_are_left_out_one_by_one(finished: Path, tmp_path: Path) -> None:
    defaults = ArmsParams.model_construct().model_dump(mode="json")
    # Its start is the user's.
    own = {"infinite_continual": {"start": {"folder": "model"}}}
    presets = {
        path.stem: validate(ArmsParams, layered(layered(defaults, read_yaml(path)), own.get(path.stem, {})), path.name)
        for path in ARMS_PRESETS.glob("*.yaml")
    }
    text = {"leave_one_source_out", "quality", "duplicates", "age", "toxicity"}
    assert {*presets} == text | {"infinite_compute", "infinite_continual", "late_domains", "late_upsampling", *STAGED}
    assert all(len(one.arms) > 1 or one.leave_one_out for one in presets.values())
    workshop = Workshop(InProcess(), FolderStore(finished / "store"))
    pools = curated_pools(presets["leave_one_source_out"], finished.__truediv__, tmp_path / "pools", workshop)
    assert {domain.name for domain in TokenPoolIndex.read(pools["tokenize"]).domains} == {"prose", "code"}


def test_a_run_without_a_score_of_toxicity_is_told_what_is_missing(finished: Path, tmp_path: Path) -> None:
    defaults = ArmsParams.model_construct().model_dump(mode="json")
    toxicity = validate(ArmsParams, layered(defaults, read_yaml(ARMS_PRESETS / "toxicity.yaml")), "toxicity")
    workshop = Workshop(InProcess(), FolderStore(finished / "store"))
    with pytest.raises(ConfigError, match=r"curated for all_scored, curate: (.|\n)*there is no score 'toxicity'"):
        curated_pools(toxicity, finished.__truediv__, tmp_path / "pools", workshop)


def test_a_curation_that_is_none_is_refused_before_anything_is_made(finished: Path, tmp_path: Path) -> None:
    executor = InProcess()
    workshop = Workshop(executor, FolderStore(finished / "store"))
    with pytest.raises(ConfigError, match="curated for arm1, curate: "):
        wrong = arms({"curate": {"profile": "gopher"}}, {"curate": {"profile": "nobody"}})
        curated_pools(wrong, finished.__truediv__, tmp_path / "pools", workshop)
    assert executor.done == []
    with pytest.raises(ValueError, match="it has `tokens` and `curation`, two pools"):
        arms(arms=[{"name": "natural"}, {"name": "both", "tokens": "x", "curation": {}}])
