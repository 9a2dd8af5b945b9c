"""Training without the platform: only torch, numpy, scipy and pydantic are needed to train and measure."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
class Blocked:
    names = {"prefect", "mlflow", "ray", "dvc", "pyarrow", "sklearn", "yaml", "safetensors", "transformers", "tokenizers",
             "infra", "s3fs", "fsspec", "click", "rich", "zstandard"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocked())
import tempfile
from pathlib import Path
import tasks.training, tasks.training.config, tasks.training.order, tasks.training.ledger, tasks.training.model
import tasks.training.numerics, tasks.training.result, tasks.training.run, tasks.training.measure
import tasks.training.checkpoint, tasks.training.export
import tasks.training.stacked, tasks.training.stacked_model, tasks.mixture.proxies.proxy
import numpy as np
from tasks.tokenize.pool import write_pool
from tasks.training.config import ModelConfig, OptimizerConfig, TrainingConfig
from tasks.training.measure import bits_per_byte
from tasks.training.run import Phase, RunSpec, train
model = ModelConfig(hidden_size=8, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8, sequence_length=8)
optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=1)
training = TrainingConfig(model=model, optimizer=optimizer, num_tokens=64, sequences_per_step=2, precision="float32")
with tempfile.TemporaryDirectory() as folder:
    splits = {"train": np.arange(200) % 9, "test": np.arange(50) % 9}
    pool = write_pool(Path(folder), {"a": splits}, vocab_size=9, document_end=0)
    run = train(RunSpec("run", (Phase(64, (1.0,)),), 0, training), pool)
    assert bits_per_byte(run.model, pool, "test")["a"] > 0
    (same,) = tasks.training.stacked.train_stacked([RunSpec("run", (Phase(64, (1.0,)),), 0, training)], pool)
    assert same.losses == run.losses
    for _ in range(2):
        kept = train(RunSpec("run", (Phase(64, (1.0,)),), 0, training), pool, checkpoints=Path(folder) / "kept")
        assert kept.losses == run.losses
# The benchmarks come with the whole checkout, and what they take of its `infra` needs no library.
Blocked.names.remove("infra")
import benchmarks.commands, benchmarks.inputs, benchmarks.measure, benchmarks.options, benchmarks.stacked, benchmarks.gpu
print("trained")
"""


def test_training_and_measuring_need_only_torch_numpy_and_pydantic(project: Path) -> None:
    environment = {"PYTHONPATH": str(project)}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "trained"
