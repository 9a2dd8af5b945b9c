"""One domain of shuffled words is most of the input: the search cuts it, and the claim is made. Real proxies and models."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.executors import LocalExecutor
from infra.storage import AttemptStore
from tasks.core.stage import Workshop
from tasks.evaluation.config import EvaluateParams
from tasks.evaluation.stage import run as run_evaluate
from tasks.mixture.config import SearchParams
from tasks.mixture.stage import run as run_search
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig, TrainParams
from tasks.training.stage import run as run_train
from tests.mixture.real_pool import write_real_pool

MODEL = ModelConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=64, sequence_length=128
)
OPTIMIZER = OptimizerConfig(learning_rate=1e-2, warmup_steps=3)
PROXY = TrainingConfig(model=MODEL, optimizer=OPTIMIZER, num_tokens=40 * 1024, sequences_per_step=8)
FULL = TrainingConfig(model=MODEL, optimizer=OPTIMIZER, num_tokens=80 * 1024, sequences_per_step=8)
SEARCH = SearchParams(
    proxy=PROXY,
    search_tokens_per_domain=4096,
    num_initial=8,
    num_repeats_natural=1,
    rounds=1,
    runs_per_round=3,
    target_tokens=FULL.num_tokens,
    target_sequence_length=128,
)
TRAIN = TrainParams(training=FULL)
