"""A model as lm-evaluation-harness asks it: `--model mixwright --model_args pretrained=FOLDER`.

The harness makes the prompts and the scores; likelihoods are computed as for our own tasks, in float32. It stands in no key:
what it computes is taken in as a file of results.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from tasks.core.digest import digest_file
from tasks.core.errors import ConfigError, DataError
from tasks.evaluation.tasks.encode import Pair, encoded
from tasks.evaluation.tasks.item import Likelihood, Request
from tasks.evaluation.tasks.models import LanguageModel, open_decoder, open_model
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

NAME = "mixwright"
# Requests asked together: a guess. What --use_cache keeps grows by so many.
_TOGETHER = 128

TooLong = Literal["refuse", "cut"]


class Instance(Protocol):
    """A request of the harness: `args` are its texts."""

    args: tuple[Any, ...]


def register() -> None:
    """Make the model known to the harness of this process under its name."""
    import lm_eval.models  # noqa: F401  (the harness lists its own models where the registry is empty)
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target=HarnessModel)


class HarnessModel(LM):  # type: ignore[misc]  # the harness has no types
    """A model in a folder as Hugging Face lays it out, or one GGUF file."""

    def __init__(
        self,
        pretrained: str,
        tokenizer: str | None = None,
        too_long: TooLong = "refuse",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        """Load the model on `device`; batches are as many tokens as ours always are, whatever their size here.

        `tokenizer` is a tokenizer.json, for a model of ours whose folder has none. A request that is longer than the
        model's context is refused, or loses its beginning (`cut`), as in the harness's own models.

        Raises:
            ConfigError: there is no such model, or `too_long` is none of its values.
            DataError: a file of it is damaged.
        """
        super().__init__()
        if too_long not in ("refuse", "cut"):
            raise ConfigError(f"--model_args too_long={too_long}: expected refuse or cut.")
        self._model = _opened(Path(pretrained), None if tokenizer is None else Path(tokenizer), _device(device))
        self._too_long = too_long
        self._weights = _weights(Path(pretrained))

    def get_model_info(self) -> dict[str, str]:
        """Return what the harness writes of the model: the digest of its weights, by which its results are taken in."""
        return {} if self._weights is None else {"model_sha": self._weights}

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return for each context and continuation the log-likelihood, and whether each token is the likeliest.

        Raises:
            DataError: a continuation has no tokens, or one is longer than the model's context and may not be cut.
        """
        asked = [request.args for request in requests]
        pairs = [encoded(Request(*texts), self._model.encode, self._model.beginning) for texts in asked]
        pairs = self._fitting(pairs)
        found = []
        for texts, answer in zip(asked, self._answers(pairs, disable_tqdm), strict=True):
            found.append((answer.log_p, answer.greedy))
            self.cache_hook.add_partial("loglikelihood", texts, found[-1])
        return found

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of each text, in windows as the harness cuts them; each token is asked for once.

        Raises:
            DataError: a text has no tokens.
        """
        found = []
        for request in tqdm(requests, disable=disable_tqdm, desc="Texts"):
            (text,) = request.args
            pairs = _rolling(self._model.encode(text), self._model.beginning, self._model.context_length)
            found.append(sum(answer.log_p for answer in self._answers(pairs, quiet=True)))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, found[-1])
        return found

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Refuse to write text.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{len(requests)} requests want generated text, and --model {NAME} tells likelihoods alone. Leave these tasks "
            "out, or let transformers write: --model hf with the same pretrained=FOLDER."
        )

    def _answers(self, pairs: Sequence[Pair], quiet: bool) -> Iterator[Likelihood]:
        with tqdm(total=len(pairs), disable=quiet, desc="Requests") as bar:
            for first in range(0, len(pairs), _TOGETHER):
                together = pairs[first : first + _TOGETHER]
                yield from self._model.likelihoods(together)
                bar.update(len(together))

    def _fitting(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs, cut where that is allowed and needed."""
        length = self._model.context_length
        if long := [pair for pair in pairs if len(pair.inputs) > length]:
            if self._too_long == "refuse":
                raise DataError(
                    f"{len(long)} of {len(pairs)} requests are longer than the model's context of {length} tokens; the "
                    f"longest has {max(len(pair.inputs) for pair in long)}. Show fewer examples (--num_fewshot), or let "
                    "their beginning be cut: --model_args too_long=cut."
                )
            if endless := [pair for pair in long if len(pair.asked) > length]:
                raise DataError(
                    f"{len(endless)} of {len(pairs)} continuations alone are longer than the model's context of {length} "
                    "tokens. Leave the task out."
                )
        return [Pair(pair.given[-(length + 1 - len(pair.asked)) :], pair.asked) for pair in pairs]


def _device(asked: str | None) -> str:
    """Return a device that is there: the harness says `cuda` where the user says nothing."""
    import torch

    return "cpu" if asked is None or (asked.startswith("cuda") and not torch.cuda.is_available()) else asked


def _opened(path: Path, tokenizer: Path | None, device: str) -> LanguageModel:
    """Open the model of a folder, or one GGUF file."""
    if path.is_file() and tokenizer is None:
        return open_model(path.parent, [path.name], device)
    if not path.is_dir():
        raise ConfigError(f"--model_args pretrained={path}: there is no such folder. Name the model's, or a GGUF file.")
    names = sorted(found.name for found in path.iterdir() if found.is_file())
    if tokenizer is None:
        return open_model(path, names, device)
    missing = [file for file in (path / CONFIG_FILE, path / WEIGHTS_FILE, tokenizer) if not file.is_file()]
    if missing:
        raise ConfigError(
            f"--model_args: {missing[0]} is not there. Name the folder of a model and its tokenizer.json."
        )
    return open_decoder(path / CONFIG_FILE, path / WEIGHTS_FILE, tokenizer, device)


def _weights(path: Path) -> str | None:
    """Return the digest of a model's weights, if they lie in one file."""
    files = [path] if path.is_file() else [path / WEIGHTS_FILE, *path.glob("*.gguf")]
    there = [file for file in files if file.is_file()]
    return digest_file(there[0]) if len(there) == 1 else None


def _rolling(tokens: Sequence[int], beginning: int, length: int) -> list[Pair]:
    """Return the windows of a text; the last one sees as much before it as the context has room for."""
    if not tokens:
        raise DataError("a text has no tokens, so no likelihood. Leave it out of the task.")
    windows: Iterable[tuple[list[int], list[int]]] = get_rolling_token_windows(list(tokens), beginning, length, 1)
    return [Pair(tuple(given), tuple(asked)) for given, asked in map(make_disjoint_window, windows)]
