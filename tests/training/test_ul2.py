"""UL2's denoisers: rates and spans are what they say, a row can be put together again, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks.core.code import ROOT
from tasks.core.errors import ConfigError
from tasks.core.rng import generator
from tasks.tokenize.pool import TokenPool, write_pool
from tasks.tokenize.tokenizer import DOCUMENT_END, load, train_at_most
from tasks.training.data import run_data
from tasks.training.data_config import DataConfig
from tasks.training.parallel.ddp import Ddp
from tasks.training.run import train
from tasks.training.transforms.row import NO_TARGET, Row
from tasks.training.transforms.ul2 import Denoiser, Ul2, hidden, transformed
from tests.training.conftest import LENGTH, VOCAB_SIZE, domain, small_spec, small_training

PAPER = Ul2.model_validate(
    yaml.safe_load((ROOT / "configs/ul2.yaml").read_text())["params"]["train"]["training"]["data"]["transform"]
)
SPECIALS, END = np.arange(1, 73), 0
SMALL = Ul2(denoisers=(Denoiser(share=0.5, rate=0.3, mean_span=2), Denoiser(mode="S", share=0.25, rate=0.25)))
FEW: dict[str, object] = {"num_tokens": 6 * 4 * LENGTH, "warmup_steps": 0}


def put_together(row: Row) -> tuple[int, list[int]]:
    """Return the mode of a row of spans, and its text with what was hidden where it was."""
    whole = [*row.inputs.tolist(), int(row.targets[-1])] if row.targets[-1] != NO_TARGET else row.inputs.tolist()
    first = int(np.flatnonzero(row.targets != NO_TARGET)[0])
    mode, question, answer = whole[0], whole[1:first], whole[first:]
    spans: dict[int, list[int]] = {}
    now: list[int] = []
    for token in answer:
        if token in SPECIALS:
            now = spans.setdefault(token, [])
        elif token != END:
            now.append(token)
    return mode, [one for token in question for one in (spans[token] if token in SPECIALS else [token])]


def test_what_was_hidden_is_told_behind_the_text_and_nothing_else_is_predicted() -> None:
    tokens = np.arange(100, 613)
    plain = 0
    for number in range(40):
        row = transformed(PAPER, tokens, number, 0, SPECIALS, END)
        assert len(row.inputs) == len(row.targets) == 512
        if row.inputs[0] == SPECIALS[1]:
            assert row.inputs[1:].tolist() == tokens[:511].tolist()
            assert (row.targets == NO_TARGET).sum() == 384 and row.targets[384:].tolist() == tokens[384:512].tolist()
            continue
        plain += row.inputs[0] == tokens[0]
        mode, text = put_together(row)
        assert mode in SPECIALS[:3] and text == tokens[: len(text)].tolist() and len(text) > 370
        first = int(np.flatnonzero(row.targets != NO_TARGET)[0])
        # Behind each token stands what it predicts, as in any row.
        assert (
            row.targets[first:-1][row.targets[first:-1] != NO_TARGET].tolist()
            == row.inputs[first + 1 :][(row.targets[first:-1] != NO_TARGET)].tolist()
        )
    assert not plain
    again, other = (transformed(PAPER, tokens, 7, seed, SPECIALS, END) for seed in (0, 1))
    assert np.array_equal(again.inputs, transformed(PAPER, tokens, 7, 0, SPECIALS, END).inputs)
    assert not np.array_equal(again.inputs, other.inputs)


@pytest.mark.parametrize("one", [one for one in PAPER.denoisers if one.mean_span is not None], ids=repr)
def test_rate_and_mean_span_are_nominal_over_a_million_tokens(one: Denoiser) -> None:
    draw, size = generator(0, "nominal"), 500
    lengths = [hidden(one, size, draw)[1] for _ in range(2_000)]
    tokens, spans = sum(int(own.sum()) for own in lengths), sum(map(len, lengths))
    assert tokens / (2_000 * size) == pytest.approx(one.rate, rel=0.02)
    assert tokens / spans == pytest.approx(one.mean_span, rel=0.02)


def test_shares_are_of_rows_and_the_rest_stays_as_it_is() -> None:
    tokens = np.arange(100, 164)
    firsts = [int(transformed(SMALL, tokens, number, 3, SPECIALS, END).inputs[0]) for number in range(2_000)]
    shares = [firsts.count(one) / 2_000 for one in (1, 2, 100)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


@pytest.fixture
def special(tmp_path: Path) -> TokenPool:
    """A pool whose tokenizer has ten special tokens."""
    sizes = np.ones(VOCAB_SIZE + 10, dtype=np.int64)
    sizes[VOCAB_SIZE:] = 0
    domains = {name: {"train": domain(name, step, 3000)} for step, name in enumerate(("alpha", "beta", "gamma"), 1)}
    return write_pool(
        tmp_path / "special", domains, vocab_size=VOCAB_SIZE + 10, document_end=VOCAB_SIZE - 1, token_bytes=sizes
    )


def test_both_engines_train_on_denoised_rows_and_the_ledger_counts_what_is_predicted(special: TokenPool) -> None:
    config = DataConfig(transform=SMALL)
    one, other = (train(small_spec(**FEW, data=config, parallel=each), special) for each in (None, Ddp()))
    assert other.losses == pytest.approx(one.losses, abs=1e-4) and other.ledger == one.ledger
    batch = run_data(small_spec(**FEW, data=config), special).read(0, 24)
    assert sum(one.ledger.token_totals) == (batch.pairs[:, 1] != NO_TARGET).sum() < 24 * LENGTH
    assert np.isin(batch.pairs, special.specials).any()


def test_what_does_not_fit_is_refused_before_the_first_step(special: TokenPool, pool: TokenPool) -> None:
    with pytest.raises(
        ConfigError, match=r"needs 5 special tokens .* has 0\. Set tokenize.tokenizer.special_tokens to 5"
    ):
        train(small_spec(data=DataConfig(transform=SMALL)), pool)
    long = Ul2(denoisers=(Denoiser(share=1, rate=0.15, mean_span=8),))
    with pytest.raises(ConfigError, match=r"denoisers\.0: a row of 16 tokens has 1.3 hidden tokens .* one span of 8"):
        train(small_spec(data=DataConfig(transform=long)), special)
    for changes in ({"packing": "best_fit"}, {"document_mask": True}, {"loss_weights": "w"}):
        with pytest.raises(ValueError, match=f"ul2 moves the tokens of a row, and {next(iter(changes))}"):
            small_training(data={"transform": SMALL, **changes})
    with pytest.raises(ValueError, match=r"shares sum to 1\.2"):
        Ul2(denoisers=(Denoiser(share=0.6, rate=0.2), Denoiser(share=0.6, rate=0.3)))


def test_a_tokenizer_can_have_special_tokens_that_no_text_gives(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(train_at_most(["a cat <|special_0|>"], 290, 3), encoding="utf-8")
    codec = load(path, DOCUMENT_END)
    assert np.flatnonzero(codec.token_bytes == 0).tolist() == [0, 1, 2, 3]
    assert not {1, 2, 3} & set(codec.tokenizer.encode("a cat <|special_0|>", add_special_tokens=False).ids)
