"""Models measured as one: the mean of their probabilities, and what is no ensemble."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cli.main import main
from tasks.training.export import write_model
from tasks.training.measure import bits_per_byte
from tasks.training.model import initial_model, logits
from tests.training.conftest import VOCAB_SIZE, make_pool, small_training


def model(folder: Path, seed: int, vocab_size: int = VOCAB_SIZE, **changes: object) -> Path:
    folder.mkdir()
    made = initial_model(small_training(initializer_range=0.5, **changes).model, vocab_size, seed)
    write_model(made, vocab_size - 1, folder)
    return folder


def asked(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["ensemble", *map(str, words)])
    return result.exit_code, result.output


def test_an_ensemble_is_the_mean_of_probabilities_and_beats_the_mean_of_its_members(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "pool")
    models = [initial_model(small_training(initializer_range=0.5).model, VOCAB_SIZE, seed) for seed in range(3)]
    tokens = torch.from_numpy(pool.domains[2].splits["test"].tokens[:17].astype("int64"))
    shares = sum(logits(one, tokens[None, :-1]).softmax(dim=-1)[0] for one in models) / 3
    nats = -shares.gather(1, tokens[1:, None]).log()
    found = bits_per_byte(models, pool, "test", [0, 0, 16])["gamma"]
    first = pool.domains[2].splits["test"].tokens
    assert first.size > 17 and found == pytest.approx(float(nats.sum() / torch.log(torch.tensor(2.0))) / 16, rel=1e-4)
    whole, each = bits_per_byte(models, pool, "test"), [bits_per_byte(one, pool, "test") for one in models]
    assert all(whole[name] < sum(one[name] for one in each) / 3 for name in pool.names)
    assert bits_per_byte([models[0]], pool, "test") == each[0]


def test_the_command_tells_each_model_and_all_together(tmp_path: Path) -> None:
    make_pool(tmp_path / "pool")
    folders = [model(tmp_path / f"m{seed}", seed) for seed in range(2)]
    words = [word for folder in folders for word in ("--model", folder)]
    code, output = asked(*words, "--tokens", tmp_path / "pool", "--tokens-per-domain", 64, "--json")
    told = json.loads(output)
    assert code == 0 and [*told["members"]] == [str(folder) for folder in folders]
    assert told["ensemble"].keys() == {"alpha", "beta", "gamma"}
    code, output = asked(*words, "--tokens", tmp_path / "pool", "--tokens-per-domain", 64)
    assert code == 0 and "all 2 together" in output


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (None, "1 model(s): an ensemble is of two or more"),
        ({"seed": 0}, "two of the 2 models have the same weights"),
        ({"seed": 1, "vocab_size": 60}, "its vocabulary has 60 tokens"),
        ({"seed": 1, "sequence_length": 8}, "its context is 8 tokens, that of the first model 16"),
    ],
)
def test_what_is_no_ensemble_is_refused_by_name(tmp_path: Path, second: dict[str, int] | None, message: str) -> None:
    make_pool(tmp_path / "pool")
    words: list[object] = ["--model", model(tmp_path / "first", 0)]
    words += [] if second is None else ["--model", model(tmp_path / "second", **second)]
    code, output = asked(*words, "--tokens", tmp_path / "pool")
    assert code == 2 and message in " ".join(output.split())
