"""Answers that are kept: one SQLite file, each answer under the digest of its request, written as soon as it comes."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.disk import explained

_BUSY_S = 60.0
_AT_ONCE = 500
_TABLE = """CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, text TEXT, why TEXT,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL
)"""


@dataclass(frozen=True)
class Answer:
    """What a model answered. `text` is None where there is no answer to be had, and `why` says why.

    Tokens are those that were paid for, all attempts together.
    """

    text: str | None
    why: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def key_of(request: Mapping[str, Any], revision: str = "") -> str:
    """Return the digest of what is asked: model, messages, sampling, and the model's revision; fields have no order."""
    asked = {**request, "revision": revision} if revision else request
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class KeptAnswers:
    """The answers in a file that several threads and commands share."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
        self._database.execute(_TABLE)

    def find(self, keys: Iterable[str]) -> dict[str, Answer]:
        """Return the answers there are to these requests."""
        wanted, found = list(dict.fromkeys(keys)), dict[str, Answer]()
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, text, why, input_tokens, output_tokens FROM answers WHERE key IN ({marks})"  # noqa: S608 (question marks)
            with self._lock:
                found |= {key: Answer(*fields) for key, *fields in self._database.execute(query, some)}
        return found

    def keep(self, key: str, request: Mapping[str, Any], answer: Answer) -> Answer:
        """Keep an answer, and return the one that is kept: where another command was faster, that one stays."""
        row = (key, json.dumps(request, ensure_ascii=False), answer.text, answer.why)
        with self._lock:
            self._database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                (*row, answer.input_tokens, answer.output_tokens),
            )
        return self.find([key])[key]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()
