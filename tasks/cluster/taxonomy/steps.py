"""The steps of a taxonomy over all shards, and the conversation between them."""

from dataclasses import dataclass
from pathlib import Path

from tasks.cluster.config import FoundDomains
from tasks.cluster.published.taxonomy import Taxonomy
from tasks.cluster.taxonomy.classifier import TOPICS_FILE, ClassifyArgs, TeachArgs, classify, teach
from tasks.cluster.taxonomy.config import TaxonomyDomains
from tasks.cluster.taxonomy.conversation import converse
from tasks.cluster.taxonomy.grouping import FoundTopics
from tasks.cluster.taxonomy.units import SAMPLE_FILE, TO_LABEL_FILE, SampleArgs, TellArgs, sample, tell
from tasks.core.errors import ConfigError
from tasks.core.handles import Handle
from tasks.core.tables import read_table
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.runtime.step import Step

SAMPLE = Step("cluster.sample", "cluster: documents to label", sample)
TEACH = Step("cluster.topics", "cluster: topics", teach)
CLASSIFY = Step("cluster.classify", "cluster: topics of documents", classify)
TELL = Step("cluster.told", "cluster: shares of topics", tell)
ANSWERS = "answers.jsonl"


@dataclass(frozen=True)
class UsersFiles:
    """What the user has of domains: answers of a model, and of a taxonomy labels by people."""

    answers: Handle | None = None
    labelled: Handle | None = None

    @property
    def digests(self) -> dict[str, str]:
        """The digests of those that there are."""
        named = {"answers": self.answers, "labelled": self.labelled}
        return {name: file.digest for name, file in named.items() if file is not None}


@dataclass(frozen=True)
class Found:
    """Where the domains come from, and what is published of the taxonomy, by name."""

    domains: FoundTopics
    files: dict[str, Handle]


def users_files(config: TaxonomyDomains | FoundDomains) -> UsersFiles:
    """Return the files that the config names.

    Raises:
        ConfigError: one does not exist.
    """
    labelled = config.labelled if isinstance(config, TaxonomyDomains) else None
    return UsersFiles(_file(config.answers, "answers"), _file(labelled, "labelled"))


def taxonomy(
    workshop: Workshop,
    config: TaxonomyDomains,
    files: UsersFiles,
    shards: tuple[Handle, ...],
    max_chars: int,
    seed: int,
) -> Found:
    """Return the topics of every document.

    Raises:
        EvidenceError: the model finds no topics, or labels too few documents.
        BudgetError, EndpointError: not all was answered; what was is kept.
    """
    chosen = SAMPLE.one(workshop, SampleArgs(shards, config.num_documents, config.num_to_label, max_chars, seed))
    documents, answers = chosen.file(SAMPLE_FILE), files.answers
    if config.endpoint is not None:
        table = read_table(documents.local())
        pairs = list(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        answers = converse(workshop, config, config.endpoint, pairs, seed)
    assert answers is not None
    teaching = TeachArgs(documents, answers, config.max_topics, config.num_buckets, seed)
    learned = TEACH.one(workshop, teaching).tree
    records = CLASSIFY.map(workshop, [ClassifyArgs(shard, learned, max_chars) for shard in shards])
    topics = tuple(record.file(TOPICS_FILE) for record in records)
    told = TELL.one(workshop, TellArgs(shards, topics, learned, files.labelled))
    published = {
        ANSWERS: answers,
        TO_LABEL_FILE: chosen.file(TO_LABEL_FILE),
        Taxonomy.FILE: told.file(Taxonomy.FILE),
    }
    return Found(FoundTopics(topics, learned, config.min_documents), published)


def _file(path: str | None, setting: str) -> Handle | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise ConfigError(f"cluster.domains.{setting}: {path} is no file. Name one of JSON lines, or leave it out.")
    return file_handle(Path(path))
