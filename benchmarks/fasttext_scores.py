"""`python -m benchmarks.fasttext_scores ours|theirs MODEL LINES ROUNDS`: scoring in a fresh process; CPU seconds as JSON."""

import json
import sys
import time
from pathlib import Path

from tasks.curate.fasttext_model import load_model, probabilities
from tasks.curate.fasttext_training import POSITIVE


def main(whose: str, model: str, lines: str, rounds: str) -> None:
    """Score every line; the first round is not counted."""
    if whose == "ours":
        held = load_model(Path(model), "here")
        texts = [line.partition(" ")[2] for line in Path(lines).read_text(encoding="utf-8").split("\n")[:-1]]

        def score() -> None:
            probabilities(held, POSITIVE, texts)
    else:
        import floret

        loaded = floret.load_model(model)

        def score() -> None:
            loaded.f.test(lines, 1, 0.0)

    spent = []
    for _ in range(int(rounds) + 1):
        start = time.process_time()
        score()
        spent.append(time.process_time() - start)
    print(json.dumps(spent[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
