"""The driver that lets models write documents: file by file, whatever was written before is taken."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.executors import Resources
from tasks.core.account import Account
from tasks.core.errors import EvidenceError
from tasks.core.manifest import Manifest
from tasks.evaluation.ensemble import require_alike
from tasks.generation.beginnings import beginnings
from tasks.generation.config import GenerateParams
from tasks.generation.published import DOCUMENTS_FOLDER, Generated
from tasks.generation.unit import FILE, WriteArgs, Writers, load_writers, write_documents, writers_of
from tasks.runtime.context import Workshop
from tasks.runtime.files import file_handle
from tasks.runtime.records import UnitRecord
from tasks.runtime.stages import Content, StageRun, environment_over, stage_input
from tasks.runtime.step import Hold, Step
from tasks.tokenize.pool import POOL_FILES, read_pool
from tasks.tokenize.published import TOKENIZER_FILE, TokenPoolIndex
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE
from tasks.training.rows import SPLIT

STAGE = "generate"
WRITE = Step("generate.documents", "generate: documents", write_documents, hold=Hold(writers_of, load_writers))


def run(
    params: GenerateParams, *, inputs: Mapping[str, Path], models: Sequence[Path], output: Path, workshop: Workshop
) -> Manifest:
    """Let models write documents as one, with the tokens of the pool `inputs["tokenize"]`, and publish them.

    Raises:
        ConfigError: a model has other tokens or another context, or there is no document to begin with.
        EvidenceError: no document has any text.
    """
    tokenized, gpus = stage_input(workshop, inputs, "tokenize"), workshop.gpus_per_trainer
    index = tokenized.read(TokenPoolIndex)
    require_alike(models, inputs["tokenize"], index.vocab_size)
    writers = _writers(models, "cuda" if gpus else "cpu")
    given = {"tokenize": tokenized.digest, "models": writers.digest}
    stage = StageRun(workshop, STAGE, __name__, params, given, output, gpus=gpus)
    if (found := stage.unchanged()) is not None:
        return found
    read = tokenized.tree(*POOL_FILES, f"tokens/{SPLIT}/") if params.prompt_tokens else None
    if read is not None:
        beginnings(read_pool(read.local(), SPLIT), params.prompt_tokens, params.seed, 0, 1)
    tokenizer = tokenized.tree(TOKENIZER_FILE)[TOKENIZER_FILE]
    size = params.documents_per_file
    firsts = range(0, params.num_documents, size)
    counts = [min(size, params.num_documents - first) for first in firsts]
    units = [
        WriteArgs(writers, tokenizer, index.document_end, read, params.writing, first, count)
        for first, count in zip(firsts, counts, strict=True)
    ]
    records = WRITE.map(workshop, units, resources=Resources(gpus=gpus))
    told, account = _told(writers, records)
    files: dict[str, Content] = {
        f"{DOCUMENTS_FOLDER}/{number:05d}.jsonl": record.file(FILE) for number, record in enumerate(records)
    }
    summary = told.model_dump(mode="json", exclude={"format", "models"})
    return stage.publish(
        files | {Generated.FILE: told}, account=account, summary=summary, environment=environment_over(records)
    )


def _writers(folders: Sequence[Path], device: str) -> Writers:
    parts = ((file_handle(folder / CONFIG_FILE), file_handle(folder / WEIGHTS_FILE)) for folder in folders)
    return Writers(tuple(parts), device)


def _told(writers: Writers, records: Sequence[UnitRecord]) -> tuple[Generated, Account]:
    account = sum((record.account for record in records if record.account is not None), Account())
    if not account.kept.documents:
        raise EvidenceError(
            f"none of {account.taken.documents:,} documents has any text: the models end each at once. Train them longer, "
            "raise the temperature, or give beginnings (prompt_tokens)."
        )
    summaries = [record.summary for record in records]
    told = Generated(
        models=tuple(weights.digest for _, weights in writers.parts),
        documents=account.kept.documents,
        empty=account.taken.documents - account.kept.documents,
        cut=sum(one["cut"] for one in summaries),
        not_text=sum(one["not_text"] for one in summaries),
        tokens=account.kept.tokens,
        bytes=account.kept.bytes,
    )
    return told, account
