"""Models on disk: a folder like Hugging Face's, so that `transformers` loads it as it is, and those of others are read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import DataError
from tasks.training.config import Architecture, ModelConfig
from tasks.training.experts.kinds import ExpertsKind
from tasks.training.experts.top_k import Gate, TopK
from tasks.training.model import Decoder, decoder, weight_shapes
from tasks.training.published_run import CONFIG_FILE, WEIGHTS_FILE

# What transformers calls a model's type and its class.
_ARCHITECTURES: Mapping[Architecture | None, tuple[str, str]] = {
    None: ("llama", "LlamaForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "olmo2": ("olmo2", "Olmo2ForCausalLM"),
}
# A model with experts whose routers compute what those of Mixtral do, and one that transformers knows nothing of.
_MIXTRAL, _OWN_EXPERTS = ("mixtral", "MixtralForCausalLM"), ("mixwright_experts", "MixwrightExperts")
# Where a config says all of its experts: what of them transformers reads has other names, and is less.
_EXPERTS = "mixwright_experts"


def write_model(model: Decoder, document_end: int, folder: Path) -> None:
    """Write float32 weights and config of a model; needs safetensors."""
    from safetensors.torch import save_file

    weights = {name: weight.contiguous() for name, weight in model.weights.items()}
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    # safetensors writes for the owner's eyes only; these files are published.
    (folder / WEIGHTS_FILE).chmod(0o644)
    _write_json(folder / CONFIG_FILE, transformers_config(model.config, model.vocab_size, document_end))


def write_tokenizer_files(tokenizer: Path, document_end: int, sequence_length: int, folder: Path) -> None:
    """Write what `transformers` wants to know about a `tokenizer.json` and about generating, beside that file."""
    end = token_text(tokenizer, document_end)
    ids = {"bos_token_id": document_end, "eos_token_id": document_end, "pad_token_id": document_end}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": sequence_length,
        "clean_up_tokenization_spaces": False,
    }
    special = {"bos_token": end, "eos_token": end, "pad_token": end}
    _write_json(folder / "generation_config.json", ids)
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", settings | special)


def read_model(folder: Path) -> Decoder:
    """Return the model that `write_model` wrote.

    Raises:
        DataError: a file is missing, or weights and config do not belong together.
    """
    _require_model(folder)
    return load_model(folder / CONFIG_FILE, folder / WEIGHTS_FILE)


def read_config(folder: Path) -> tuple[ModelConfig, int]:
    """Return the config of the model that `write_model` wrote, and the size of its vocabulary.

    Raises:
        DataError: a file of the model is missing, or this is no config of a model that is known here.
    """
    _require_model(folder)
    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return model_config(values, str(folder / CONFIG_FILE)), values["vocab_size"]


def _require_model(folder: Path) -> None:
    if not ((folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()):
        raise DataError(f"{folder}: no {CONFIG_FILE} and {WEIGHTS_FILE} here. Run the train stage first.")


def load_model(described: Path, weights: Path) -> Decoder:
    """Return the model of a config and of weights that `write_model` wrote.

    Raises:
        DataError: they do not belong together.
    """
    from safetensors.torch import load_file

    values = json.loads(described.read_text(encoding="utf-8"))
    config = model_config(values, str(described))
    found = load_file(weights)
    shapes = weight_shapes(config, values["vocab_size"])
    if {name: tuple(weight.shape) for name, weight in found.items()} != shapes:
        raise DataError(f"{weights}: the weights are not those of {described}. Get the files again (`dvc checkout`).")
    return decoder(config, values["vocab_size"], found)


def transformers_config(config: ModelConfig, vocab_size: int, document_end: int) -> dict[str, Any]:
    """Return a model's config in the words of `transformers`."""
    model_type, class_name = _type_of(config)
    return {
        **({} if config.experts is None else _experts_config(config.experts)),
        "architectures": [class_name],
        "model_type": model_type,
        "vocab_size": vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_size,
        "max_position_embeddings": config.sequence_length,
        "rms_norm_eps": config.norm_eps,
        # The first is what transformers 5 reads, the second what came before.
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "rope_theta": config.rope_base,
        "initializer_range": config.initializer_range,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": not config.untied_embeddings,
        "bos_token_id": document_end,
        "eos_token_id": document_end,
        "pad_token_id": document_end,
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def export_words(config: ModelConfig) -> str | None:
    """Return who cannot load an exported model, and what to do, in a sentence; None = transformers can."""
    if _type_of(config) != _OWN_EXPERTS:
        return None
    return (
        "transformers has no model whose experts are chosen as here, so the exported one is refused by it and read by "
        "mixwright alone: set model.experts.gate to {normalised: false, renormalised: true}, which is Mixtral's, for one "
        "that others load"
    )


def _type_of(config: ModelConfig) -> tuple[str, str]:
    """Return what transformers calls a model's type and its class."""
    if config.experts is None:
        return _ARCHITECTURES[config.architecture]
    gate = config.experts.gate
    return _MIXTRAL if gate.renormalised and not gate.normalised else _OWN_EXPERTS


def _experts_config(experts: ExpertsKind) -> dict[str, Any]:
    """Return what a config says of experts: in the words of Mixtral's, and all of it in ours."""
    return {
        "num_local_experts": experts.num_experts,
        "num_experts_per_tok": experts.num_active,
        "router_aux_loss_coef": 0.0 if experts.balance is None else experts.balance.coefficient,
        "output_router_logits": False,
        "router_jitter_noise": 0.0,
        "sliding_window": None,
        _EXPERTS: experts.model_dump(mode="json"),
    }


def _experts(values: Mapping[str, Any]) -> ExpertsKind | None:
    """Return the experts that a config describes; of others' Mixtral what decides its forward pass."""
    if values["model_type"] not in (_MIXTRAL[0], _OWN_EXPERTS[0]):
        return None
    if (own := values.get(_EXPERTS)) is not None:
        return TopK.model_validate(own)
    gate = Gate(normalised=False)
    return TopK(num_experts=values["num_local_experts"], num_active=values["num_experts_per_tok"], gate=gate)


def model_config(values: Mapping[str, Any], where: str) -> ModelConfig:
    """Return the config of a model that `transformers` describes with these values.

    Raises:
        DataError: the model is not one that this decoder computes, and in what it differs; or a value is missing.
    """
    known = {model_type: architecture for architecture, (model_type, _) in _ARCHITECTURES.items()}
    known |= {_MIXTRAL[0]: None, _OWN_EXPERTS[0]: None}
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    # What the decoder has no other way for; a value that is not there is as transformers takes it.
    fixed = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "use_sliding_window": False}
    others = [f"{name} {values[name]}" for name, value in fixed.items() if values.get(name, value) != value]
    if values.get("model_type") == _MIXTRAL[0] and values.get("sliding_window") is not None:
        others.append(f"sliding_window {values['sliding_window']}")
    if values.get("model_type") not in known:
        others.insert(0, f"model_type {values.get('model_type')}")
    if (kind := rope.get("rope_type", rope.get("type", "default"))) != "default":
        others.append(f"RoPE scaled by {kind}")
    if others:
        raise DataError(
            f"{where}: this decoder does not compute {', '.join(others)}. It computes {', '.join(known)}, with silu, "
            "without biases, sliding windows and scaled RoPE."
        )
    try:
        hidden, heads = values["hidden_size"], values["num_attention_heads"]
        head_dim = values.get("head_dim")
        return ModelConfig(
            hidden_size=hidden,
            num_layers=values["num_hidden_layers"],
            num_heads=heads,
            num_kv_heads=values.get("num_key_value_heads") or heads,
            intermediate_size=values["intermediate_size"],
            sequence_length=values["max_position_embeddings"],
            rope_base=rope.get("rope_theta", values.get("rope_theta", 10_000.0)),
            norm_eps=values["rms_norm_eps"],
            initializer_range=values.get("initializer_range", 0.02),
            architecture=known[values["model_type"]],
            head_dim=None if head_dim is None or head_dim * heads == hidden else head_dim,
            untied_embeddings=not values.get("tie_word_embeddings", False),
            experts=_experts(values),
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"{where}: it describes no model: {error}. Get the file again.") from error


def token_text(tokenizer: Path, token: int) -> str:
    """Return the text of a token id in a `tokenizer.json`.

    Raises:
        DataError: the tokenizer has no such id.
    """
    value = json.loads(tokenizer.read_text(encoding="utf-8"))
    added = {entry["id"]: entry["content"] for entry in value.get("added_tokens", [])}
    vocabulary = value["model"].get("vocab", {})
    known = {index: text for text, index in vocabulary.items()} if isinstance(vocabulary, dict) else {}
    text = added.get(token, known.get(token))
    if text is None:
        raise DataError(
            f"{tokenizer}: there is no token {token}, which the pool ends documents with. Run tokenize again."
        )
    return str(text)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
