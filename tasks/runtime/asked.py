"""What endpoints of language models were asked for: requests and tokens, in all and those that were paid for an output.

Like all costs they are of executions, and stand beside the work of the store. Each time something is asked, whether it comes
to its end or not, a file says what was paid, for which output, and by which label people know the questions.
"""

import json
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass

from infra.endpoint.kept import Answer
from infra.storage import Store

_FOLDER = "asked"


@dataclass(frozen=True)
class Asked:
    """Requests that were answered, and the tokens that they took of the model: of questions, and of answers."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Asked") -> "Asked":
        return Asked(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


def asked_of(answers: Iterable[Answer]) -> Asked:
    """Return what answers took together."""
    return sum((Asked(1, one.input_tokens, one.output_tokens) for one in answers), Asked())


def note_paid(store: Store, area: str, place: str, label: str, paid: Asked) -> None:
    """Keep what was paid for an output, which `place` stands for, in one go of asking."""
    # For people alone: where nothing can be written, the work itself will say so by name.
    with suppress(OSError):
        folder = store.home / area / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"label": label, **asdict(paid)})
        (folder / f"{place}.{uuid.uuid4().hex[:8]}.json").write_text(text, encoding="utf-8")


def paid_for(store: Store, area: str, place: str) -> dict[str, Asked]:
    """Return all that was paid for an output, by label."""
    found: dict[str, Asked] = {}
    for path in sorted((store.home / area / _FOLDER).glob(f"{place}.*.json")):
        # One that a kill or a full disk tore tells nothing.
        with suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads(path.read_bytes())
            label = str(value.pop("label"))
            found[label] = found.get(label, Asked()) + Asked(**value)
    return found
