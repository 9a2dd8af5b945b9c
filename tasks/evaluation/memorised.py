"""The unit that scores documents a run saw and documents it did not see, in pairs of one domain and length.

Axes: B documents of a batch, T tokens, V vocabulary, D documents of a domain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.core.rng import generator
from tasks.evaluation.config import MemorisationParams
from tasks.evaluation.consumed import document_sizes, exposures
from tasks.evaluation.memorisation import Floats, Integers, lowest_mean, matched, standardised
from tasks.evaluation.unit import SPLIT as HELD_OUT
from tasks.tokenize.pool import SplitTokens, Tokens, read_pool
from tasks.training.rows import SPLIT
from tasks.training.types import RunSpec

if TYPE_CHECKING:
    import torch

    from tasks.training.model import Decoder

# Documents in one forward pass; a guess.
_BATCH = 16


@dataclass(frozen=True)
class MemorisationArgs:
    """A model, the run that made it, the samples of each domain in its ledger, and the splits train and test of its pool."""

    config: Handle
    weights: Handle
    pool: Tree
    run: RunSpec
    consumed: tuple[int, ...]
    params: MemorisationParams


def score_documents(args: MemorisationArgs, here: Here) -> UnitResult:
    """Score pairs of documents of every domain: times trained on, tokens, and a score by name for each of a pair."""
    from tasks.training.export import load_model
    from tasks.training.numerics import deterministic

    model, pool = load_model(args.config.local(), args.weights.local()), read_pool(args.pool.local(), SPLIT, HELD_OUT)
    seen = exposures(args.run, pool, args.consumed)
    found = {}
    with deterministic():
        for domain, exposure_D in zip(pool.domains, seen, strict=True):
            train, test = (_Documents.of(domain.splits[name], pool.document_end, model) for name in (SPLIT, HELD_OUT))
            # What was seen in part is neither.
            members = np.flatnonzero((exposure_D >= 1) & (train.lengths >= args.params.min_tokens))
            others = np.flatnonzero(test.lengths >= args.params.min_tokens)
            random = generator(args.params.seed, "memorisation", domain.name)
            pairs = matched(train.lengths[members], test.lengths[others], args.params.documents_per_domain, random)
            members, others = members[pairs[0]], others[pairs[1]]
            found[domain.name] = {
                "exposure": exposure_D[members].tolist(),
                "tokens": [train.lengths[members].tolist(), test.lengths[others].tolist()],
                "members": _scores(model, train, members, args.params.k),
                "others": _scores(model, test, others, args.params.k),
            }
    return UnitResult(summary={"domains": found})


@dataclass(frozen=True)
class _Documents:
    """The documents of a split, of each the first tokens that fit into a model's context: `lengths` [D]."""

    tokens: Tokens
    starts: Integers
    lengths: Integers
    document_end: int

    @classmethod
    def of(cls, split: SplitTokens, document_end: int, model: "Decoder") -> "_Documents":
        sizes = document_sizes(split)
        starts = split.starts.astype(np.int64)
        ended = np.asarray(split.tokens)[starts + sizes - 1] == document_end
        return cls(split.tokens, starts, np.minimum(sizes - ended, model.config.sequence_length), document_end)

    def document(self, number: int) -> Integers:
        """Return the end of the document before, and the tokens that are scored."""
        start = int(self.starts[number])
        own = self.tokens[start : start + int(self.lengths[number])].astype(np.int64)
        return np.concatenate([[self.document_end], own])


def _scores(
    model: "Decoder", documents: _Documents, chosen: Integers, percents: Sequence[int]
) -> dict[str, list[float]]:
    """Return the scores of documents by name, in the order of `chosen`."""
    found: dict[str, list[float]] = {name: [] for k in percents for name in (f"min_k_{k}", f"min_k_plus_plus_{k}")}
    for log_p_T, mean_T, sd_T in _predictions(model, documents, chosen):
        relative_T = standardised(log_p_T, mean_T, sd_T)
        for k in percents:
            found[f"min_k_{k}"].append(lowest_mean(log_p_T, k))
            found[f"min_k_plus_plus_{k}"].append(lowest_mean(relative_T, k))
    return found


def _predictions(model: "Decoder", documents: _Documents, chosen: Integers) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield, document by document, each token's log-probability with mean and sd of all tokens' under that prediction."""
    import torch

    with torch.no_grad():
        for first in range(0, len(chosen), _BATCH):
            batch = [documents.document(number) for number in chosen[first : first + _BATCH].tolist()]
            # What pads the shorter ones stands behind them, where no token of theirs looks.
            padded_BT = np.zeros((len(batch), max(map(len, batch)) - 1), dtype=np.int64)
            for row, tokens in enumerate(batch):
                padded_BT[row, : len(tokens) - 1] = tokens[:-1]
            hidden_BTD = model(torch.from_numpy(padded_BT))
            for row, tokens in enumerate(batch):
                yield _of_document(model, hidden_BTD[row, : len(tokens) - 1], torch.from_numpy(tokens[1:]))


def _of_document(
    model: "Decoder", hidden_TD: "torch.Tensor", tokens_T: "torch.Tensor"
) -> tuple[Floats, Floats, Floats]:
    """Return each token's log-probability, and mean and standard deviation of log-probabilities there."""
    import torch

    from tasks.training.loss import rows_at_a_time

    found = []
    rows = rows_at_a_time(model.vocab_size)
    for hidden, own in zip(torch.split(hidden_TD, rows), torch.split(tokens_T, rows), strict=True):
        log_p_TV = (hidden @ model.output.T).double().log_softmax(dim=-1)
        p_TV = log_p_TV.exp()
        mean_T = (p_TV * log_p_TV).sum(dim=-1)
        variance_T = (p_TV * (log_p_TV - mean_T[:, None]) ** 2).sum(dim=-1)
        found.append((log_p_TV.gather(1, own[:, None])[:, 0], mean_T, variance_T.sqrt()))
    log_p, mean, sd = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return log_p, mean, sd
