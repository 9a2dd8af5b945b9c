"""The same documents in the order of a score: up, down and shuffled.

    python -m benchmarks.studies.curriculum FOLDER [--seeds 4] [--tokens 131072]

Documents are 1,024 bytes of English; their score is the size that zlib brings them to, so that repetitive text is low. Each
is seen once in every arm, in one order for the whole run. QuRating (arXiv 2402.09739) gains from low to high scores of
quality; asked here is whether a score that only tells how dense a text is does the same. What is seen last counts less where
the rate falls to zero, so that each order is tried with a constant rate, too.
"""

import zlib
from pathlib import Path

import numpy as np

from benchmarks.studies.bytes_of_text import END, byte_pool, measured, stacked, training
from benchmarks.studies.study import Option, Study, Values, run, table, verdict
from tasks.tokenize.pool import TokenPool, write_pool

SCORE, PIECE = "density", 1024
SHUFFLED = "shuffled"
ORDERS = {
    SHUFFLED: None,
    "low to high": {"curriculum": SCORE},
    "high to low": {"curriculum": SCORE, "curriculum_order": "descending"},
}
RATES = {
    "a cosine to zero": {"kind": "cosine"},
    "a constant rate": {"kind": "wsd", "decay_fraction": 0.0},
}


def compared(study: Study) -> str:
    """Train every order with every seed, for each kind of rate, and return what came out."""
    tokens, seeds = study.options.tokens, range(study.options.seeds)
    pool = scored_pool(study.data, study.scratch(), tokens)
    parts = [f"{tokens:,} bytes of English, once, 0.1M parameters, {len(seeds)} paired seeds."]
    for rate, schedule in RATES.items():
        found = dict[str, Values]()
        for name, data in ORDERS.items():
            runs = stacked(training(tokens, data=data, schedule=schedule), pool, seeds)
            found[name] = {"bits per byte": [measured(one.model, pool) for one in runs]}
            print(rate, name, found[name], flush=True)
        base = found[SHUFFLED]["bits per byte"]
        told = (f"{name}: {verdict(own['bits per byte'], base)}" for name, own in found.items() if name != SHUFFLED)
        parts.append(f"{rate}\n\n{table(found, SHUFFLED)}\n\nA gain over {SHUFFLED}, {'; '.join(told)}.")
    return "\n\n".join(parts)


def scored_pool(data: Path, folder: Path, tokens: int) -> TokenPool:
    """Return a pool of pieces of text with their scores, of which one epoch is as many tokens."""
    plain = byte_pool(data, folder / "plain", tokens)
    splits = {name: np.asarray(own.tokens, dtype=np.int64) for name, own in plain.domains[0].splits.items()}
    text = splits["train"][splits["train"] != END]
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    train = np.concatenate([np.append(one, END) for one in pieces])[: tokens + 1]
    scores = [len(zlib.compress(one.astype(np.uint8).tobytes(), 9)) / len(one) for one in pieces]
    size = int((train == END).sum() + (train[-1] != END))
    return write_pool(
        folder / "scored",
        {"text": {"train": train, "test": splits["test"]}},
        vocab_size=END + 1,
        document_end=END,
        columns={"text": {SCORE: scores[:size]}},
    )


if __name__ == "__main__":
    run("curriculum", __doc__, compared, Option("seeds", 4, "of each order"), Option("tokens", 131_072, "of each run"))
