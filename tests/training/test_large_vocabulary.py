"""A vocabulary of more than 65,536 tokens, from the user's tokenizer to bits per byte."""

import json
from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn import functional as F  # noqa: N812 (its usual name)

from tasks.cluster import stage as cluster
from tasks.cluster.config import ClusterParams
from tasks.cluster.sources import SourceDomains
from tasks.cluster.split import Split
from tasks.core.rng import generator
from tasks.tokenize import stage as tokenize
from tasks.tokenize.config import TokenizeParams
from tasks.tokenize.pool import TokenPool, read_pool
from tasks.tokenize.published import TokenPoolIndex
from tasks.tokenize.taking import TokenizerFile
from tasks.tokenize.tokenizer import byte_alphabet
from tasks.training.loss import rows_at_a_time, scored
from tasks.training.measure import bits_per_byte
from tasks.training.model import initial_model
from tasks.training.run import train
from tasks.training.stacked import train_stacked
from tests.cluster.curated import three_kinds, write_curated
from tests.cluster.workshop import serial_workshop
from tests.training.conftest import small_spec

END = "<|end|>"
# The end, every byte, every pair of bytes.
VOCAB_SIZE = 1 + 256 + 256 * 256
COMMON = {*"etaoinsrl"}


def write_tokenizer(path: Path) -> None:
    """Write a byte-level tokenizer that joins any two bytes; pairs of common letters have the largest ids."""
    alphabet = sorted(byte_alphabet())
    pairs = sorted(product(alphabet, repeat=2), key=lambda pair: {*pair} <= COMMON)
    vocabulary = {END: 0} | {character: 1 + number for number, character in enumerate(alphabet)}
    vocabulary |= {first + second: 257 + number for number, (first, second) in enumerate(pairs)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(path))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> TokenPool:
    """A pool that the tokenize stage made with such a tokenizer."""
    folder = tmp_path_factory.mktemp("large")
    write_tokenizer(folder / "mine.json")
    workshop, _ = serial_workshop(folder)
    inputs = {"curate": write_curated(folder / "curate", [three_kinds(30)]), "cluster": folder / "cluster"}
    domains = ClusterParams(domains=SourceDomains(kind="source"), split=Split(search_fraction=0.1, test_fraction=0.1))
    cluster.run(domains, inputs={"curate": inputs["curate"]}, output=inputs["cluster"], workshop=workshop)
    params = TokenizeParams(tokenizer=TokenizerFile(kind="file", path=str(folder / "mine.json"), document_end=END))
    tokenize.run(params, inputs=inputs, output=folder / "tokenize", workshop=workshop)
    assert json.loads((folder / "tokenize" / "tokens.json").read_text())["token_bits"] == 32
    assert TokenPoolIndex.read(folder / "tokenize").vocab_size == VOCAB_SIZE
    return read_pool(folder / "tokenize")


def test_tokens_beyond_16_bits_are_packed_trained_on_and_measured(pool: TokenPool) -> None:
    tokens = pool.domains[0].splits["train"].tokens
    assert tokens.dtype == np.dtype("<u4") and int(tokens.max()) >= 1 << 16
    spec = small_spec((0.4, 0.3, 0.3), num_tokens=4 * 4 * 16, warmup_steps=0)
    run = train(spec, pool)
    assert run.losses[0] == pytest.approx(log(VOCAB_SIZE), abs=0.1)
    assert run.losses[-1] < run.losses[0]
    start = initial_model(spec.training.model, VOCAB_SIZE, spec.seed)
    before, after = (bits_per_byte(model, pool, "test", 128) for model in (start, run.model))
    assert all(after[name] < before[name] for name in pool.names)
    (stacked,) = train_stacked([spec], pool)
    assert not isinstance(stacked, Exception) and stacked.losses == run.losses


def test_the_loss_over_a_large_vocabulary_is_torchs_and_holds_fewer_rows() -> None:
    vocab_size, rows = 1 << 17, 150
    assert rows_at_a_time(vocab_size) < rows
    random = generator(0, "large vocabulary")
    hidden, embedding = (torch.tensor(random.standard_normal((n, 4), dtype="float32")) for n in (rows, vocab_size))
    targets = torch.tensor(random.integers(0, vocab_size, rows))
    ours, _ = scored(hidden, embedding, targets)
    assert float(ours) == pytest.approx(
        float(F.cross_entropy(hidden @ embedding.T, targets, reduction="sum")), rel=1e-5
    )
