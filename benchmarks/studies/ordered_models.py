"""Models that a benchmark orders, for PreSelect: one net after more and more steps, and nets of different sources.

Each is trained on the documents that selectors choose from. Their benchmark is the negative of bits per byte of the target's
own texts: nothing that is measured has a part in it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile

import numpy as np

from tasks.core.threads import one_thread
from tasks.curate.scorers.preselect import loss
from tasks.evaluation.tasks.models import open_model
from tasks.tokenize.pool import read_pool
from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.params import demo_proxy
from tasks.training.rows import SPLIT

_STEPS = (12, 25, 50, 100, 200, 400)
_SOURCES = ("books", "code", "news", "qa", "scientific", "wikipedia")
_SOURCE_STEPS = 60
# Texts of the target that a model's benchmark is taken of; and the windows of PreSelect's defaults.
_TEXTS, _WINDOW, _STRIDE = 60, 1_900, 512


def train_ordered(folder: Path) -> None:
    """Write both families of models below `models`, and for each the benchmark of its models; what is there stays."""
    families: dict[str, list[tuple[str | None, dict[int, str]]]] = {
        "steps": [(None, {step: f"{step}-steps" for step in _STEPS})],
        "sources": [(source, {_SOURCE_STEPS: source}) for source in _SOURCES],
    }
    for family, nets in families.items():
        file = folder / "models" / f"{family}.json"
        if file.is_file():
            continue
        names = [name for _, named in nets for name in named.values()]
        with one_thread():
            for source, named in nets:
                _train(folder, source, named)
            told = {name: -_bits_per_byte(folder, folder / "models" / name) for name in names}
        file.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _train(folder: Path, source: str | None, names: Mapping[int, str]) -> None:
    """Write a net after each number of steps on the pool, or on one source of it, under its name."""
    import torch

    from tasks.training.export import write_model, write_tokenizer_files
    from tasks.training.model import initial_model

    tokenized = folder / "data" / "tokenize"
    pool, training = read_pool(tokenized), demo_proxy()
    length, rate = training.model.sequence_length, training.optimizer.learning_rate
    parts = [domain.splits[SPLIT].tokens for domain in pool.domains if source in (None, domain.name)]
    tokens = np.concatenate(parts).astype(np.int64)
    net = initial_model(training.model, pool.vocab_size, 0)
    optimizer, draw = torch.optim.AdamW(net.parameters(), rate), np.random.default_rng(0)
    for step in range(1, max(names) + 1):
        starts_B = draw.integers(0, len(tokens) - length, training.sequences_per_step)
        rows_BT = torch.from_numpy(np.stack([tokens[start : start + length + 1] for start in starts_B]))
        logits_BTV = net(rows_BT[:, :-1]) @ net.output.T
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), rows_BT[:, 1:].flatten()).backward()
        optimizer.step()
        if step in names:
            place = folder / "models" / names[step]
            place.mkdir(parents=True, exist_ok=True)
            copyfile(tokenized / TOKENIZER_FILE, place / TOKENIZER_FILE)
            write_model(net, pool.document_end, place)
            write_tokenizer_files(place / TOKENIZER_FILE, pool.document_end, length, place)


def _bits_per_byte(folder: Path, model: Path) -> float:
    lines = (folder / "target" / "pubmed.jsonl").read_text(encoding="utf-8").splitlines()[:_TEXTS]
    texts = [json.loads(line)["text"] for line in lines]
    opened = open_model(model, sorted(path.name for path in model.iterdir()))
    nats = sum(loss(opened, text, _WINDOW, _STRIDE) for text in texts)
    return nats / np.log(2) / sum(len(text.encode()) for text in texts)
