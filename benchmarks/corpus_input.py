"""What the real search reads: the shared corpus, and as its target real benchmark items, each written out as a document.

    python -m benchmarks.corpus_input OUTPUT_FOLDER

The target is the source `target`: one document per item, the question and its gold answer as the benchmark scores them.
At most 400 items of a task, evenly spaced in the file (some files are sorted by subject), so that none speaks for all.
"""

import gzip
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inputs import shared

SOURCE = "target"
TARGET_FILE = f"{SOURCE}.jsonl.gz"
MAX_ITEMS = 400
_LEVEL = 6

Item = Mapping[str, Any]
Written = Callable[[Item], str]


@dataclass(frozen=True)
class TaskText:
    """The documents made of one benchmark: ids and texts, in the order of its file."""

    task: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of all texts."""
        return sum(len(text.encode()) for text in self.texts)


def corpus_input(data: Path, folder: Path) -> tuple[TaskText, ...]:
    """Copy the corpus under `data` and write the target beside it; return the target by task.

    The same data give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((data / "corpus").glob("*.jsonl.gz")):
        shutil.copyfile(file, folder / file.name)
    tasks = target(data / "evals")
    lines = [_line(name, text) for task in tasks for name, text in zip(task.ids, task.texts, strict=True)]
    # No name and no time of its own in it: the same bytes every time.
    (folder / TARGET_FILE).write_bytes(gzip.compress(b"".join(lines), compresslevel=_LEVEL, mtime=0))
    return tasks


def target(evals: Path, max_items: int = MAX_ITEMS) -> tuple[TaskText, ...]:
    """Return the documents of every task of the target; a document is called `<task>/<number of its line>`."""
    return tuple(_task(task, written, evals / f"{task}.jsonl", max_items) for task, written in TASKS.items())


def spaced(count: int, most: int) -> Sequence[int]:
    """Return at most `most` of `count` positions, evenly spaced.

    >>> spaced(10, 4)
    [0, 2, 5, 7]
    """
    return [index * count // most for index in range(most)] if count > most else list(range(count))


def _task(task: str, written: Written, path: Path, max_items: int) -> TaskText:
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = spaced(len(items), max_items)
    return TaskText(task, tuple(f"{task}/{number}" for number in chosen), tuple(written(items[n]) for n in chosen))


def _choice(delimiter: str) -> Written:
    return lambda item: f"{item['query'].rstrip()}{delimiter}{item['choices'][item['gold']].strip()}"


def _continuation(delimiter: str) -> Written:
    return lambda item: f"{item['context'].rstrip()}{delimiter}{item['continuation'].strip()}"


def _answer(item: Item) -> str:
    return f"{item['context'].rstrip()} {item['answer'].strip()}"


def _reasoned(item: Item) -> str:
    return f"{item['context'].rstrip()}\n{item['chain_of_thought'].strip()}\nAnswer: {item['answer'].strip()}"


def _solved(item: Item) -> str:
    return f"{item['prompt']}{item['canonical_solution']}"


# Where the question does not end with "Answer:" itself, the answer stands on a line of its own; where the answer goes on
# with the question's sentence, behind a blank.
_LABELLED = "\nAnswer: "
TASKS: Mapping[str, Written] = {
    "arc_easy": _choice(_LABELLED),
    "arc_challenge": _choice(_LABELLED),
    "mmlu": _choice(_LABELLED),
    "openbook_qa": _choice(" "),
    "commonsense_qa": _choice(" "),
    "piqa": _choice(_LABELLED),
    "siqa": _choice(" "),
    "boolq": _choice(_LABELLED),
    "triviaqa_sm_sub": _answer,
    "jeopardy_all": _continuation(_LABELLED),
    "pubmed_qa_labeled": _continuation(" "),
    "lambada_openai": _continuation(" "),
    "math_qa": _choice(" "),
    "svamp": _reasoned,
    "gsm8k": _reasoned,
    "human_eval": _solved,
}


def _line(name: str, text: str) -> bytes:
    return json.dumps({"id": name, "text": text, "source": SOURCE}, ensure_ascii=False).encode() + b"\n"


def main(arguments: Sequence[str]) -> int:
    """Write the input and print what there is of every task; return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m benchmarks.corpus_input OUTPUT_FOLDER", file=sys.stderr)
        return 2
    data = shared()
    if data is None:
        print("skipped: no shared data here. MIXWRIGHT_SHARED names its folder; by default ../shared is looked for.")
        return 0
    tasks = corpus_input(data, Path(arguments[0]))
    for task in tasks:
        print(f"{task.task:20}{len(task.ids):6,} documents{task.bytes:11,} bytes")
    files = len(list(Path(arguments[0]).glob("*.jsonl.gz")))
    documents, size = sum(len(task.ids) for task in tasks), sum(task.bytes for task in tasks)
    print(f"{SOURCE:20}{documents:6,} documents{size:11,} bytes; {files} files in {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
