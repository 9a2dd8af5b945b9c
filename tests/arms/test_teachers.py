"""Arms that learn from a teacher, beside one that does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.arms.published import ArmsComparison
from tasks.core.errors import ConfigError
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.export import write_model
from tasks.training.model import initial_model
from tests.arms.test_stage import compare, params
from tests.evaluation.test_stage import pool_with_tokenizer
from tests.in_process import InProcess

TAUGHT: dict[str, Any] = {"name": "taught", "training": {"distillation": {"weight": 0.5}}}


def test_an_arm_learns_from_its_own_teachers_and_is_refused_without(tmp_path: Path) -> None:
    pool = pool_with_tokenizer(tmp_path / "tokenize")
    (tmp_path / "small").mkdir()
    read = read_pool(pool, "train")
    write_model(initial_model(params().training.model, read.vocab_size, 3), read.document_end, tmp_path / "small")
    shutil.copy(pool / TOKENIZER_FILE, tmp_path / "small")
    teachers = {"teachers": [{"kind": "hugging_face", "folder": str(tmp_path / "small")}]}
    arms = [{"name": "natural"}, TAUGHT | teachers]
    compare(tmp_path, params(arms=arms, num_seeds=2), pool, InProcess())
    runs = ArmsComparison.read(tmp_path / "arms").runs
    values = {(one.arm, one.seed): one.scores["bits_per_byte"] for one in runs}
    assert len({*values.values()}) == 4
    for wrong, message in (
        ([{"name": "natural"}, TAUGHT], "arm taught: training.distillation says how to learn from teachers"),
        ([{"name": "natural"}, teachers | {"name": "idle"}], "arm idle: it has 1 teacher"),
    ):
        with pytest.raises(ConfigError, match=message):
            compare(tmp_path, params(arms=wrong, num_seeds=2), pool, InProcess())
