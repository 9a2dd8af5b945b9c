"""What is asked of a language model behind an endpoint, and what it answered. Pure: `tasks.runtime.asking` sends it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tasks.core.credentials import complaint_about
from tasks.core.params import Params

Plain = bool | int | float | str | None


class Endpoint(Params):
    """An OpenAI-compatible server and the model that is asked there (`/chat/completions`).

    Its key stands in the environment variable `key_variable`, and nowhere else. An answer is kept for the model, what is
    asked of it and how it is sampled, whatever server gave it: `revision` tells models of one name apart. `more` are further
    fields of a request, such as `reasoning_effort`; null leaves one out (`temperature: null`).
    """

    base_url: Annotated[str, Field(pattern=r"^https?://")]
    model: Annotated[str, Field(min_length=1)]
    revision: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    more: dict[str, Plain] = Field(default_factory=dict)
    key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "OPENAI_API_KEY"

    def mistakes(self) -> Iterable[str]:
        """Return what is wrong with an address that carries a secret, and with fields that have a place of their own."""
        if complaint := complaint_about(self.base_url):
            yield complaint
        if taken := sorted({"model", "messages", "seed"} & {*self.more}):
            yield f"more: {taken[0]} is set by another field"


@dataclass(frozen=True)
class Request:
    """One question. `about` says what it is about, and stands beside its answer; `sample` tells equal questions apart."""

    system: str
    user: str
    max_tokens: int
    about: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return what is sent, and what an answer is kept under."""
        messages = [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]
        sampling = {"temperature": endpoint.temperature, "max_tokens": self.max_tokens}
        chosen = {name: value for name, value in (sampling | endpoint.more).items() if value is not None}
        return {"model": endpoint.model, "messages": messages, "seed": endpoint.seed + self.sample, **chosen}


def write_requests(requests: Iterable[Request], path: Path) -> int:
    """Write questions, one a line, and return how many these are."""
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for one in requests:
            stream.write(
                json.dumps([one.system, one.user, one.max_tokens, dict(one.about), one.sample], ensure_ascii=False)
            )
            stream.write("\n")
            count += 1
    return count


def read_requests(path: Path) -> list[Request]:
    """Return the questions of a file of `write_requests`."""
    with path.open(encoding="utf-8") as stream:
        return [Request(*json.loads(line)) for line in stream]


def answer_line(request: Request, answer: str | None, why: str | None) -> str:
    """Return the line of an answer in a file of answers: what it is about, `answer`, or `why` there is none."""
    told = {"answer": answer} if answer is not None else {"answer": None, "why": why}
    return json.dumps({**request.about, **told}, ensure_ascii=False) + "\n"
