"""The conversation with a language model: summaries, a taxonomy batch by batch, labels; and the file that it leaves.

What is asked next follows from the answers, so that the same answers lead to the same questions: nothing is paid for twice.
"""

from collections.abc import Sequence

from tasks.cluster.taxonomy.config import TaxonomyDomains
from tasks.cluster.taxonomy.questions import Topic, choose, find, read_topics, summarise
from tasks.core.asking import Endpoint, Request
from tasks.core.errors import EvidenceError
from tasks.core.handles import Handle
from tasks.core.rng import generator
from tasks.runtime.asking import answers, answers_file
from tasks.runtime.context import Workshop

_SHOWN = 200


def converse(
    workshop: Workshop, config: TaxonomyDomains, endpoint: Endpoint, sample: Sequence[tuple[str, str]], seed: int
) -> Handle:
    """Return the file of all answers about a sample of (id, text): summaries, taxonomies, labels.

    Raises:
        EvidenceError: the first batch gave no topics.
        BudgetError, EndpointError: not all was answered; what was is kept.
    """
    # 1. What each document is about, in a few words.
    summarised = [summarise(name, text) for name, text in sample]
    told = [one.text for one in answers(workshop, endpoint, summarised, "cluster: summaries")]
    summaries = [text for text in told if text is not None]
    # 2. Topics of the first batch, made better by each of the others, and reviewed once more.
    asked, topics = _topics(workshop, config, endpoint, summaries, seed)
    # 3. The topic of each document.
    labels = [choose(name, text, topics) for name, text in sample]
    return answers_file(workshop, endpoint, [*summarised, *asked, *labels], "cluster: labels")


def batches(count: int, size: int, seed: int) -> list[list[int]]:
    """Return the numbers below `count` in shuffled batches of `size`; the last is filled up with others, as theirs.

    >>> [sorted(batch) for batch in batches(4, 9, 0)]
    [[0, 1, 2, 3]]
    """
    shuffled = generator(seed, "taxonomy").permutation(count).tolist()
    found = [shuffled[start : start + size] for start in range(0, count, size)]
    if len(found) > 1:
        found[-1] += shuffled[: size - len(found[-1])]
    return found


def _topics(
    workshop: Workshop, config: TaxonomyDomains, endpoint: Endpoint, summaries: Sequence[str], seed: int
) -> tuple[list[Request], tuple[Topic, ...]]:
    """Return what was asked for a taxonomy, and its topics; a batch whose answer cannot be read changes nothing."""
    every = batches(len(summaries), config.batch_size, seed)
    review = generator(seed, "taxonomy", "review").integers(len(every)) if every else 0
    topics: tuple[Topic, ...] = ()
    asked = []
    for number, batch in enumerate([*every, every[review]] if every else []):
        some = [summaries[row] for row in batch]
        asked.append(find(some, topics, config.max_topics, number, last=number == len(every)))
        (answer,) = answers(workshop, endpoint, asked[-1:], "cluster: taxonomy")
        found = None if answer.text is None else read_topics(answer.text, config.max_topics)
        if found is None and not topics:
            said = repr((answer.text or answer.why or "")[:_SHOWN])
            raise EvidenceError(
                f"cluster.domains: {endpoint.model} names no two topics of {len(some):,} summaries; it says {said}. Ask "
                "another model."
            )
        topics = found or topics
    if not topics:
        raise EvidenceError(f"cluster.domains: {endpoint.model} summarised no document. Ask another model.")
    return asked, topics
