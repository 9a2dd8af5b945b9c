"""UL2's denoisers in half of the rows, against plain language modelling: what they cost, and whether gaps are filled better.

    python -m benchmarks.studies.ul2 FOLDER [--seeds 3] [--tokens 262144]

Both arms have as many tokens; in one, half of the rows are given to denoisers (arXiv 2205.05131), those of the paper whose
spans fit into rows of 128 bytes. What is told: bits per byte of held-out text; bits per byte of 8 hidden bytes between 56
before and 56 behind, as a model can be asked for them; and how often these are held likelier than 8 bytes of seven other
places.
"""

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
import torch

from benchmarks.studies.bytes_of_text import Integers, byte_pool, measured, stacked, training
from benchmarks.studies.study import SEEDS, Option, Study, Values, difference, run, table, verdict
from tasks.tokenize.pool import TokenPool
from tasks.training.loss import nats_per_row
from tasks.training.model import Decoder
from tasks.training.numerics import deterministic
from tasks.training.transforms.ul2 import Denoiser, Ul2

PLAIN, HALF = "plain", "half UL2"
DENOISERS = Ul2(
    denoisers=(
        Denoiser(mode="R", mean_span=3, rate=0.15, share=0.1),
        Denoiser(mode="R", mean_span=8, rate=0.15, share=0.1),
        Denoiser(mode="S", rate=0.25, share=0.1),
        Denoiser(mode="X", mean_span=3, rate=0.5, share=0.1),
        Denoiser(mode="X", mean_span=8, rate=0.5, share=0.1),
    )
)
SPECIALS, SIDE, SPAN, CANDIDATES, WINDOWS = 20, 56, 8, 8, 128
LEFT, WHOLE, BOTH = "asked behind the left side", "asked for the whole text", "asked as a denoiser"


def compared(study: Study) -> str:
    """Train both arms with each seed, let them fill gaps, and return what came out."""
    tokens, seeds = study.options.tokens, range(study.options.seeds)
    pool = byte_pool(study.data, study.scratch(), tokens, specials=SPECIALS)
    text, bits, hidden, chosen = gaps(pool), dict[str, Values](), dict[str, Values](), dict[str, Values]()
    for arm, data in ((PLAIN, None), (HALF, {"transform": DENOISERS})):
        models = [one.model for one in stacked(training(tokens, data=data), pool, seeds)]
        bits[arm] = {"bits per byte": [measured(one, pool) for one in models]}
        print(arm, bits[arm], flush=True)
        for way in (LEFT, WHOLE, BOTH) if arm == HALF else (LEFT, WHOLE):
            nats = [candidates_nats(one, pool, text, way) for one in models]
            if way != WHOLE:
                told = [float(own[:, 0].mean()) / SPAN / log(2) for own in nats]
                hidden[f"{arm}, {way}"] = {"bits per hidden byte": told}
            right = [float((own[:, 0] < own[:, 1:].min(axis=1)).mean()) for own in nats]
            chosen[f"{arm}, {way}"] = {f"chosen of {CANDIDATES}": right}
    return _told(study, bits, hidden, chosen)


def gaps(pool: TokenPool) -> Integers:
    """Return the held-out text in windows of both sides and the span between them, [windows, tokens], from all over it."""
    found, size = np.asarray(pool.domains[0].splits["test"].tokens, dtype=np.int64), 2 * SIDE + SPAN
    return found[: len(found) // size * size].reshape(-1, size)[:: len(found) // size // WINDOWS][:WINDOWS]


def candidates_nats(model: Decoder, pool: TokenPool, text_WU: Integers, way: str) -> np.ndarray:
    """Return the nats of each candidate for the gap of each window, [windows, candidates]; the first is the true one."""
    spans_WS = text_WU[:, SIDE : SIDE + SPAN]
    shifts = [number * len(text_WU) // CANDIDATES for number in range(CANDIDATES)]
    found = [_nats(model, pool, text_WU, np.roll(spans_WS, shift, axis=0), way) for shift in shifts]
    return np.stack(found, axis=1)


def _nats(model: Decoder, pool: TokenPool, text_WU: Integers, spans_WS: Integers, way: str) -> np.ndarray:
    """Return the nats of what a way scores, [windows], with spans in the gaps."""
    left, right, count = text_WU[:, :SIDE], text_WU[:, SIDE + SPAN :], len(text_WU)
    # As the denoisers have them: one token for each mode, then sentinels.
    mode, first, last = (np.full((count, 1), pool.specials[place]) for place in (0, 3, 4))
    if way == BOTH:
        rows, scored = np.hstack([mode, left, first, right, first, spans_WS, last]), slice(-SPAN - 1, -1)
    else:
        rows, scored = np.hstack([left, spans_WS, right]), slice(SIDE, SIDE + SPAN if way == LEFT else None)
    targets, tokens = np.arange(rows.shape[1])[scored], torch.from_numpy(rows)
    with deterministic(), torch.no_grad():
        hidden = model(tokens[:, :-1])[:, targets - 1].flatten(0, 1)
        nats = nats_per_row(hidden, model.output, tokens[:, targets].flatten())
    return nats.view(count, -1).sum(dim=1).numpy()


def _told(study: Study, bits: Mapping[str, Values], hidden: Mapping[str, Values], chosen: Mapping[str, Values]) -> str:
    def of(values: Mapping[str, Values], name: str) -> Sequence[float]:
        return next(iter(values[name].values()))

    base, best = f"{PLAIN}, {LEFT}", f"{HALF}, {BOTH}"
    whole = f"{PLAIN}, {WHOLE}"
    apart = [1 - one for one in of(chosen, best)], [1 - one for one in of(chosen, whole)]
    return (
        f"{study.options.tokens:,} bytes of English, once, 0.1M parameters, {study.options.seeds} paired seeds; denoisers "
        f"of half of the rows to equal parts: R 3 and 8 at 15 %, S 25 %, X 3 and 8 at 50 %.\n\n{table(bits, PLAIN)}\n\n"
        f"{table(hidden, base)}\n\n{table(chosen, whole)}\n\n"
        f"What language modelling pays for half of the rows: {difference(of(bits, HALF), of(bits, PLAIN))} bits per byte. "
        f"That a gap costs less with both sides than the plain arm has behind the left one: "
        f"{verdict(of(hidden, best), of(hidden, base))}. That more gaps are filled rightly than the plain arm fills by "
        f"rating whole texts: {verdict(*apart)}."
    )


if __name__ == "__main__":
    run("ul2", __doc__, compared, SEEDS, Option("tokens", 262_144, "of each run"))
