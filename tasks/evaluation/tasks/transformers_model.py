"""Any causal language model that transformers loads, also from a GGUF file; what prompts share is computed once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import ConfigError
from tasks.evaluation.tasks.encode import Pair
from tasks.evaluation.tasks.item import Likelihood

if TYPE_CHECKING:
    import numpy as np
    import torch


class TransformersModel:
    """A model in float32 with its tokenizer, from a local folder; nothing is fetched, and no code of the folder is run."""

    def __init__(self, folder: Path, device: str, **how: str) -> None:
        """Load the model; `how` may name its GGUF file.

        Raises:
            ConfigError: transformers cannot load it, or it has no tokenizer.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        talk: Any = logging
        # Its bars would stand in the way of the run's own progress.
        talk.disable_progress_bar()
        given: dict[str, Any] = {**how, "local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **given)
            loader: Any = AutoModelForCausalLM
            self._model = loader.from_pretrained(folder, dtype=torch.float32, **given)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ConfigError(
                f"{folder}: transformers cannot load a model and its tokenizer from here: {error}"
            ) from error
        self._model.eval().requires_grad_(False)
        self._model.to(device)
        length = getattr(self._model.config, "max_position_embeddings", None)
        marks = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        beginning = next((mark for mark in marks if mark is not None), None)
        if length is None or beginning is None:
            missing = "max_position_embeddings" if length is None else "bos_token and no eos_token"
            raise ConfigError(f"{folder}: there is no {missing}, which tasks need. Add it to the model's files.")
        self.context_length, self.beginning = int(length), int(beginning)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Return the likelihoods, prompt by prompt in their order as tokens: each goes on where it leaves the one before.

        The keys and values of the last prompt are kept, so that examples that stand before every item are read once, and
        the choices of an item read its question once.
        """
        import torch

        found: dict[int, Likelihood] = {}
        known: tuple[int, ...] = ()
        cache = self._new_cache()
        with torch.no_grad():
            for place in sorted(range(len(pairs)), key=lambda place: pairs[place].inputs):
                pair = pairs[place]
                # The logits in front of the first token that is asked for are needed too.
                shared = min(_shared(known, pair.inputs), len(pair.given) - 1)
                if shared < len(known):
                    if _can_go_back(cache):
                        cache.crop(shared - len(known))
                    else:
                        shared, cache = 0, self._new_cache()
                found[place] = self._answer(pair, shared, cache)
                known = pair.inputs
        return [found[place] for place in range(len(pairs))]

    def representations(self, inputs: Sequence[tuple[int, ...]], layers: Sequence[int] | None) -> "np.ndarray":
        """Return hidden states at the last tokens, input by input."""
        import torch

        from tasks.evaluation.tasks.models import chosen_layers

        wanted = chosen_layers(layers, int(self._model.config.get_text_config().num_hidden_layers))
        with torch.no_grad():
            found = [self._last_states(one, wanted) for one in inputs]
        states: np.ndarray = torch.stack(found).cpu().numpy()
        return states

    def _last_states(self, tokens: Sequence[int], layers: Sequence[int]) -> "torch.Tensor":
        import torch

        out = self._model(
            input_ids=self._tensor(tokens)[None], output_hidden_states=True, use_cache=False, logits_to_keep=1
        )
        # The first of them are the embeddings.
        return torch.stack([out.hidden_states[layer][0, -1] for layer in layers])

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)

    def _answer(self, pair: Pair, shared: int, cache: Any) -> Likelihood:
        from tasks.evaluation.tasks.models import likelihood

        tokens = self._tensor(pair.inputs[shared:])
        out = self._model(input_ids=tokens[None], past_key_values=cache, use_cache=True, logits_to_keep=len(pair.asked))
        return likelihood(out.logits[0], self._tensor(pair.asked))

    def _tensor(self, tokens: Sequence[int]) -> "torch.Tensor":
        import torch

        return torch.tensor(tokens, device=self._model.device)


def _can_go_back(cache: Any) -> bool:
    """Return whether a cache keeps everything, so that its last tokens can be taken off: no sliding windows."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences begin with in common.

    >>> _shared((1, 2, 3), (1, 2, 4, 5))
    2
    """
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
