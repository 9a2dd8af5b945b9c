"""How much a set's loss differs on other text of its kind: a search measures some text, a forecast is judged by other.

Standard deviations of that difference, as shares of the loss, where both are as large as what the search measures.
"""

from collections.abc import Sequence
from math import sqrt

from tasks.mixture.proxies.on_tasks import AskedTasks
from tasks.mixture.proxies.proxy import SPLIT
from tasks.tokenize.pool import TokenPool

# Measured here: one model on the splits `search` and `test` of 16 domains differs by 1.9 % (rms) on 16,384 tokens of each
# and by 2.9 % on 4,096.
_TOKEN = 2.2
# Text of one document is more alike than that. Measured here: one model on up to 1,024 tokens of each of 47 English, 33
# German and 75 Korean documents differs (rms) by 11, 8 and 14 % with one document on each side, by 2, 2 and 3 % with 16.
_DOCUMENT = 0.1
# Standard errors over 143 items of Jeopardy and 130 of SVAMP, .052 of 2.304 and .037 of .823 bits per byte, are .27 and .51
# of the score for an item; the difference of two halves has sqrt(2) times as much.
_ITEM = 0.55


def other_text(pool: TokenPool, measured_on: Sequence[int], asked: AskedTasks | None = None) -> tuple[float, ...]:
    """Return the standard deviation of every held-out set, of domains and then of tasks' scores.

    `measured_on` are the held-out tokens of each domain that are measured, at most.
    """
    splits = [domain.splits[SPLIT] for domain in pool.domains]
    limits = zip(splits, measured_on, strict=True)
    of_domains = [of_documents(min(limit, split.tokens.size), split.starts.size) for split, limit in limits]
    of_tasks = [_ITEM / sqrt(len(task.items())) for task in (() if asked is None else asked.tasks) for _ in task.scores]
    return (*of_domains, *of_tasks)


def of_documents(tokens: int, documents: int) -> float:
    """Return the standard deviation for so many tokens of so many documents.

    >>> round(of_documents(16_384, 400), 3), round(of_documents(16_384, 4), 3)
    (0.017, 0.05)
    """
    return max(_TOKEN / sqrt(tokens), _DOCUMENT / sqrt(documents))
