"""The weights that a run starts from: whether they are of its model and its tokenizer, and the tensors themselves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import DamagedError, DataError
from tasks.core.handles import Handle
from tasks.core.sealed import read_sealed
from tasks.training.config import ModelConfig, TrainingConfig
from tasks.training.multi_token.method import of_model
from tasks.training.optimizers.kinds import method
from tasks.training.optimizers.method import Shapes, split_name
from tasks.training.published_run import OPTIMIZER_STEPS
from tasks.training.starts.start import Start
from tasks.training.starts.upcycle import dense, upcycle_mistakes

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 3
# What a run may have otherwise than the model that it starts from.
_FREE = frozenset({"sequence_length", "initializer_range"})
# Of experts: room and balance are of training alone.
_ROUTING = {"num_experts", "num_active", "gate"}
# Types of numbers that a weight is by itself, without a scale beside it; as safetensors calls them.
_FLOATS = frozenset({"BF16", "F16", "F32", "F64"})


@dataclass(frozen=True)
class StartPaths:
    """Where the files of a start are, `more` those behind the first where the weights are in several.

    The `record` is that of a milestone whose optimizer the run goes on with.
    """

    config: Path
    weights: Path
    tokenizer: Path
    extend_vocabulary: bool = False
    other_rope_base: bool = False
    record: Path | None = None
    more: tuple[Path, ...] = ()
    padded_vocabulary: bool = False
    upcycle: bool = False


def optimizer_steps(record: Path, state: Handle) -> int:
    """Return the steps that the optimizer of a milestone has made: the run's, and those before it.

    Raises:
        DamagedError: the record cannot be read, or is of another state.
    """
    held = read_sealed(record)
    if held["state"] != state.digest:
        raise DamagedError(f"{record.parent}: its state is not what was written. Name another milestone.")
    return int(held["step"]) + int(held.get(OPTIMIZER_STEPS, 0))


def num_tokens(tokenizer: Handle) -> int:
    """Return how many tokens a `tokenizer.json` has: one more than the largest id.

    Raises:
        DataError: it is no tokenizer.
    """
    value = _json(tokenizer)
    try:
        vocabulary = value["model"]["vocab"]
        ids = [*vocabulary.values()] if isinstance(vocabulary, dict) else [*range(len(vocabulary))]
        return int(max([*ids, *(one["id"] for one in value.get("added_tokens", []))])) + 1
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{tokenizer.local()}: it is no tokenizer: {error!r}. Get the file again.") from error


def described_model(start: Start) -> ModelConfig:
    """Return the model that the config of a start describes.

    Raises:
        DataError: it is none, or one that this decoder does not compute.
    """
    from tasks.training.export import model_config

    return model_config(_json(start.config), start.config.name)


def start_mistakes(
    start: Start, training: TrainingConfig, vocab_size: int, tokenizer: Handle, *, extensible: bool = True
) -> Iterator[str]:
    """Yield what keeps a run from starting there, on a pool with this vocabulary and `tokenizer.json`.

    `extensible`: a smaller vocabulary could be extended, which is said then.
    """
    if start.upcycle:
        yield from upcycle_mistakes(training.model)
        training = training.model_copy(update={"model": dense(training.model)})
    yield from _config_mistakes(start, training.model)
    yield from _shape_mistakes(start, training, vocab_size, extensible=extensible)
    try:
        theirs = _json(start.tokenizer)
    except DataError as error:
        yield str(error)
        return
    if differing := _differing_parts(theirs, _json(tokenizer), start.extend_vocabulary):
        yield (
            f"its tokenizer is not the pool's: {', '.join(differing)} differ. Run tokenize with tokenizer kind `file` on "
            "its tokenizer.json"
            + (
                ", or with one that extends it and extend_vocabulary."
                if extensible and not start.extend_vocabulary
                else "."
            )
        )


def started_weights(start: Start, model: ModelConfig, vocab_size: int) -> "dict[str, Tensor]":
    """Return the float32 weights of a start that has no mistakes, by name; tokens that it lacks have the mean row.

    Those of a start to upcycle are of the dense model: see `upcycled`.

    Rows that pad its vocabulary are left out.

    The optimizer's state is with them if the run goes on with it.
    """
    import torch

    from tasks.training.model import EMBEDDING, OUTPUT, weight_shapes

    model = dense(model) if start.upcycle else model
    with ExitStack() as stack:
        files = _opened(start, stack)
        weights = {name: files[name].get_tensor(name).float() for name in weight_shapes(model, vocab_size)}
        if start.optimizer_steps is not None:
            weights |= {name: file.get_tensor(name) for name, file in files.items() if split_name(name)[1]}
    for name in {EMBEDDING, OUTPUT} & weights.keys():
        known_VD = weights[name] if start.num_tokens is None else weights[name][: start.num_tokens].clone()
        weights[name] = known_VD
        if (missing := vocab_size - len(known_VD)) > 0:
            weights[name] = torch.cat([known_VD, known_VD.mean(dim=0, keepdim=True).expand(missing, -1)])
    return weights


def _opened(start: Start, stack: ExitStack) -> dict[str, Any]:
    """Return the open file of each tensor, by its name."""
    from safetensors import safe_open

    files = [stack.enter_context(safe_open(file.local(), framework="pt")) for file in start.files]
    return {name: file for file in files for name in file.keys()}  # noqa: SIM118 (no mapping)


def _config_mistakes(start: Start, model: ModelConfig) -> Iterator[str]:
    """Yield what the config says that our decoder does otherwise: weights alone do not tell it."""
    try:
        theirs = described_model(start)
    except DataError as error:
        yield str(error)
        return
    pairs = [
        (name, getattr(theirs, name), getattr(model, name)) for name in ModelConfig.model_fields if name != "experts"
    ]
    pairs += [("experts", _routing(theirs), _routing(model))]
    free = _FREE | ({"rope_base"} if start.other_rope_base else set())
    wrong = [(name, f"{name} is {one}, not {other}") for name, one, other in pairs if name not in free and one != other]
    if wrong:
        remedy = " Another RoPE base is taken with other_rope_base." if "rope_base" in dict(wrong) else ""
        if theirs.experts is None and "experts" in dict(wrong):
            remedy += " A dense model becomes one with experts with upcycle."
        told = "; ".join(text for _, text in wrong)
        yield f"its config is of another model: {told}. Set train.training.model to its values.{remedy}"


def _routing(model: ModelConfig) -> dict[str, Any] | None:
    """Return what of a model's experts decides its forward pass."""
    return None if model.experts is None else model.experts.model_dump(include=_ROUTING)


def _shape_mistakes(start: Start, training: TrainingConfig, vocab_size: int, *, extensible: bool) -> Iterator[str]:
    from safetensors import SafetensorError

    from tasks.training.model import EMBEDDING, OUTPUT, weight_shapes

    expected = weight_shapes(training.model, vocab_size)
    try:
        with ExitStack() as stack:
            slices = {name: file.get_slice(name) for name, file in _opened(start, stack).items()}
            found = {name: tuple(one.get_shape()) for name, one in slices.items()}
            types = {slices[name].get_dtype() for name in expected.keys() & slices.keys()}
    except SafetensorError as error:
        yield f"its weights cannot be read: {error}. Get the file again."
        return
    if strange := sorted(types - _FLOATS):
        yield f"its weights are {', '.join(strange)}, and a start has {', '.join(sorted(_FLOATS))}. Save it in one of these."
    rows = found.get(EMBEDDING, (vocab_size,))[0]
    yield from _vocabulary_mistakes(start, rows, vocab_size, extensible=extensible)
    shapes = {name: (rows, *shape[1:]) if name in {EMBEDDING, OUTPUT} else shape for name, shape in expected.items()}
    wrong = [f"{name} is {found.get(name)}, not {shape}" for name, shape in shapes.items() if found.get(name) != shape]
    # A milestone holds the optimizer's state too, under names of its own.
    wrong += [
        f"{name} has no place" for name in found if name.startswith(("model.", "lm_head.")) and name not in expected
    ]
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        yield f"{len(wrong)} of its weights are not those of train.training.model; first: {shown}."
    if start.optimizer_steps is not None:
        if training.multi_token is not None:
            yield (
                "with_optimizer goes on with the optimizer's state of the model alone, and train.training.multi_token "
                "trains weights beside it, which no start has. Branch off the milestone, or leave one of both out."
            )
        yield from _state_mistakes(found, training, expected)


def _vocabulary_mistakes(start: Start, rows: int, vocab_size: int, *, extensible: bool) -> Iterator[str]:
    """Yield why an embedding of so many rows does not serve a pool's tokens."""
    known = rows if start.num_tokens is None else start.num_tokens
    if rows < known:
        yield f"its embedding has {rows:,} rows, and its tokenizer {known:,} tokens. Get the files of one model."
    elif known < vocab_size and not start.extend_vocabulary:
        remedy = "Set extend_vocabulary." if extensible else "Tokenize with its tokenizer."
        yield f"its vocabulary has {known:,} tokens, the pool's {vocab_size:,}. {remedy}"
    elif known > vocab_size:
        yield (
            f"its vocabulary has {known:,} tokens, the pool's {vocab_size:,}. Tokenize with its tokenizer; if that has "
            f"{vocab_size:,} and the rows behind them pad the embedding, set padded_vocabulary."
        )


def _state_mistakes(found: Shapes, training: TrainingConfig, weights: Shapes) -> Iterator[str]:
    """Yield what of the optimizer's state, among the tensors found, is not that of the run's optimizer."""
    chosen = training.optimizer.method
    expected = {name: tuple(one.shape) for name, one in method(chosen).init(chosen, weights, "meta").items()}
    # What predicted further tokens stays behind.
    state = {name: shape for name, shape in found.items() if (own := split_name(name)[1]) and of_model({own: name})}
    theirs, ours = (sorted({split_name(name)[0] for name in names}) for names in (state, expected))
    if theirs != ours:
        yield (
            f"its optimizer keeps {', '.join(theirs) or 'nothing'}, and {chosen.kind} keeps {', '.join(ours)}. Set "
            "train.training.optimizer.method to its kind, or leave with_optimizer out."
        )
        return
    names = sorted(state.keys() | expected.keys())
    wrong = [
        f"{name} is {state.get(name)}, not {expected.get(name)}"
        for name in names
        if state.get(name) != expected.get(name)
    ]
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        yield f"{len(wrong)} tensors of its optimizer's state are not those of {chosen.kind} here; first: {shown}."


def _differing_parts(theirs: Mapping[str, Any], ours: Mapping[str, Any], extended: bool) -> list[str]:
    """Return in which parts two tokenizers give a text other tokens; padding and truncation are no matter."""
    parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model")
    if not extended:
        return [part for part in parts if theirs.get(part) != ours.get(part)]
    differing = [part for part in parts[:4] if theirs.get(part) != ours.get(part)]
    (known, merges, model), (own_ids, own_merges, own_model) = (_tokens(one) for one in (theirs, ours))
    if any(own_ids.get(text) != token for text, token in known.items()):
        differing.append("the ids of known tokens")
    if own_merges[: len(merges)] != merges:
        differing.append("merges")
    if model != own_model:
        differing.append("model")
    return differing


def _tokens(tokenizer: Mapping[str, Any]) -> tuple[Mapping[str, int], Sequence[Any], Mapping[str, Any]]:
    """Return the ids of a tokenizer's tokens, added ones too, its merges, and what else its model is."""
    model = dict(tokenizer["model"])
    vocab, merges = model.pop("vocab", {}), model.pop("merges", [])
    # A unigram model has a list of tokens with their scores.
    ids = vocab if isinstance(vocab, Mapping) else {json.dumps(one): token for token, one in enumerate(vocab)}
    return {**ids, **{one["content"]: one["id"] for one in tokenizer.get("added_tokens", [])}}, merges, model


def _json(file: Handle) -> Mapping[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DataError: there is none.
    """
    try:
        value = json.loads(file.text())
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {type(value).__name__}")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.local()}: this is no JSON object: {error}. Get the file again.") from error
    return value
