"""Runs in the trainers' environment: how OLMo-core draws from an exported file. Prints the domain of every instance as JSON.

Arguments: the exported YAML, a folder for its work, tokens per domain as JSON, requested tokens.
Each domain's documents are its own number and an end, one sample long, so that an instance says where it is from.
"""

import json
import sys
from pathlib import Path

import numpy as np
from olmo_core.data import NumpyFSLDatasetConfig, TokenizerConfig
from olmo_core.data.collator import DataCollator
from olmo_core.data.data_loader import NumpyFSLDataLoader
from olmo_core.data.source_mixture import SourceMixtureDatasetConfig, SourceMixtureList
from olmo_core.data.types import NumpyDatasetDType

LENGTH = 8


def main(exported: str, folder: str, sizes: str, requested: str) -> None:
    sources = SourceMixtureList.from_file(exported)
    names = list(json.loads(sizes))
    for number, (source, tokens) in enumerate(zip(sources.sources, json.loads(sizes).values(), strict=True), start=1):
        Path(source.paths[0]).parent.mkdir(parents=True, exist_ok=True)
        samples = np.full((tokens // LENGTH, LENGTH), number, dtype=np.uint16)
        samples[:, -1] = 0
        samples.tofile(source.paths[0])
    mixture = SourceMixtureDatasetConfig(
        source_list=sources, requested_tokens=int(requested), global_batch_size=LENGTH, render_tables=False, quiet=True
    )
    dataset = NumpyFSLDatasetConfig.from_src_mix(
        mixture,
        sequence_length=LENGTH,
        tokenizer=TokenizerConfig(vocab_size=100, eos_token_id=0, pad_token_id=99),
        dtype=NumpyDatasetDType.uint16,
        work_dir=folder,
    ).build()
    dataset.prepare()
    loader = NumpyFSLDataLoader(
        dataset, collator=DataCollator(pad_token_id=99), global_batch_size=LENGTH, work_dir=folder, num_workers=0
    )
    loader.reshuffle(epoch=1)
    drawn = [names[int(batch["input_ids"][0, 0]) - 1] for batch in loader]
    print(json.dumps(drawn))


if __name__ == "__main__":
    main(*sys.argv[1:])
