"""The unit that lets a model continue the beginnings of held-out documents."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.core.handles import Handle, Tree
from tasks.core.results import Here, UnitResult
from tasks.evaluation.config import SampleParams
from tasks.evaluation.unit import SPLIT
from tasks.tokenize.pool import TokenPool, Tokens, read_pool
from tasks.training.export import load_model
from tasks.training.generate import continuations


@dataclass(frozen=True)
class SampleArgs:
    """A model, its tokenizer, and what is read of the token pool: its index and the test split."""

    config: Handle
    weights: Handle
    tokenizer: Handle
    pool: Tree
    params: SampleParams


def continue_documents(args: SampleArgs, here: Here) -> UnitResult:
    """Let a model continue one document of every domain that has one which is long enough."""
    model, pool = load_model(args.config.local(), args.weights.local()), read_pool(args.pool.local(), SPLIT)
    params, shown = args.params, documents(pool, args.params)
    if not shown:
        return UnitResult(summary={"samples": {}})
    prompts = [tokens[: params.prompt_tokens].astype(np.int64) for tokens in shown.values()]
    added = continuations(
        model,
        prompts,
        num_tokens=params.num_tokens,
        temperature=params.temperature,
        seed=params.seed,
        end=pool.document_end,
    )
    parts = zip(prompts, (tokens[params.prompt_tokens :] for tokens in shown.values()), added, strict=True)
    texts = _decoded(args.tokenizer.local(), [[list(map(int, part)) for part in three] for three in parts])
    return UnitResult(summary={"samples": dict(zip(shown, texts, strict=True))})


def documents(pool: TokenPool, params: SampleParams) -> dict[str, Tokens]:
    """Return, by domain, the first tokens of its first test document that goes on behind the prompt."""
    found = {}
    for domain in pool.domains:
        tokens = np.asarray(domain.splits[SPLIT].tokens)
        ends = np.append(np.flatnonzero(tokens == pool.document_end), tokens.size)
        starts = np.append(0, ends[:-1] + 1)
        long_enough = np.flatnonzero(ends - starts > params.prompt_tokens)
        if long_enough.size:
            first = int(starts[long_enough[0]])
            last = min(int(ends[long_enough[0]]), first + params.prompt_tokens + params.num_tokens)
            found[domain.name] = tokens[first:last]
    return found


def _decoded(tokenizer: Path, parts: list[list[list[int]]]) -> list[list[str]]:
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(tokenizer))
    return [[known.decode(tokens) for tokens in three] for three in parts]
