"""A pool in memory whose every token says which document it is of."""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.tokenize.pool import DomainTokens, SplitTokens, TokenPool, document_starts

END = 0


def memory_pool(
    domains: Mapping[str, Sequence[int]], columns: Mapping[str, Mapping[str, Sequence[float]]] | None = None
) -> TokenPool:
    """Return a pool of documents with so many tokens each, their end included; document k has the tokens k + 1."""
    made = []
    for index, (name, lengths) in enumerate(domains.items()):
        tokens = np.repeat(np.arange(1, len(lengths) + 1), lengths)
        tokens[np.cumsum(lengths) - 1] = END
        starts = document_starts(tokens, END).astype(np.uint64)
        own = {column: np.array(values, dtype=np.float64) for column, values in (columns or {}).get(name, {}).items()}
        ids = np.arange(len(lengths), dtype=np.uint64)
        split = SplitTokens(tokens.astype(np.uint16), starts, tokens.size, own, ids)
        made.append(DomainTokens(index, name, {"train": split}))
    vocab = 1 + max(len(lengths) for lengths in domains.values())
    return TokenPool(tuple(made), vocab, END, np.ones(vocab, dtype=np.uint16))
