"""One net trained for longer and longer: models that are ordered by construction."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from tasks.tokenize.published import TOKENIZER_FILE
from tasks.training.config import ModelConfig
from tasks.training.export import write_model, write_tokenizer_files
from tasks.training.model import initial_model

MODEL = ModelConfig(hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=2, intermediate_size=64, sequence_length=64)
_BATCH, _RATE, _END = 12, 3e-3, "<end>"


def trained_models(texts: Sequence[str], steps: Sequence[int], folder: Path, seed: int = 0) -> list[Path]:
    """Write the net after each number of steps on texts, with a tokenizer made of them; return their folders."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    alphabet = ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, BpeTrainer(vocab_size=512, special_tokens=[_END], initial_alphabet=alphabet))
    ids = torch.tensor([token for text in texts for token in (0, *tokenizer.encode(text).ids)])
    net = initial_model(MODEL, 512, seed)
    optimizer = torch.optim.AdamW(net.parameters(), _RATE)
    draw, folders = torch.Generator().manual_seed(seed), []
    for step in range(1, max(steps) + 1):
        starts = torch.randint(len(ids) - MODEL.sequence_length - 1, (_BATCH,), generator=draw)
        rows = torch.stack([ids[start : start + MODEL.sequence_length + 1] for start in starts.tolist()])
        logits = net(rows[:, :-1]) @ net.output.T
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
        optimizer.step()
        if step in steps:
            folders.append(folder / f"{step}-steps")
            folders[-1].mkdir(parents=True)
            tokenizer.save(str(folders[-1] / TOKENIZER_FILE))
            write_model(net, 0, folders[-1])
            write_tokenizer_files(folders[-1] / TOKENIZER_FILE, 0, MODEL.sequence_length, folders[-1])
    return folders
