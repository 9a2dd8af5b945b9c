"""Tiny models of transformers in folders, whose tokens are words."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fine", "poor", "the", "a", "of")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 11}


def write_tokenizer(folder: Path, longest: int = 32) -> None:
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=longest, **marks)
    fast.save_pretrained(folder)


def classifier_folder(folder: Path, labels: int = 3, seed: int = 0, **config: Any) -> Path:
    """Write a classifier with weights at random, so large that it has opinions."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    given = BertConfig(**SIZES, max_position_embeddings=32, num_labels=labels, initializer_range=0.7, **config)
    BertForSequenceClassification(given).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def celadon_folder(folder: Path, seed: int = 0) -> Path:
    """Write an encoder with five heads of four levels beside its weights, as Celadon's are."""
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    torch.manual_seed(seed)
    config = DebertaV2Config(
        **SIZES, max_position_embeddings=32, relative_attention=True, pos_att_type=["c2p", "p2c"], initializer_range=0.7
    )
    DebertaV2Model(config).save_pretrained(folder)
    weights = {f"deberta.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    for head in range(5):
        weights |= {f"heads.{head}.weight": torch.randn(4, 16), f"heads.{head}.bias": torch.randn(4)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(folder)
    return folder
