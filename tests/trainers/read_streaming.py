"""Runs in the trainers' environment: how mosaicml-streaming draws from an exported file. Prints counts as JSON.

Arguments: the exported YAML, `streaming` or `llm-foundry`, a folder for the data, samples per domain as JSON.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import yaml

# `import streaming` also imports its readers of pictures, which need torchvision; the reader of text does not.
found = importlib.util.find_spec("streaming")
package = ModuleType("streaming")
package.__path__ = list(found.submodule_search_locations)
sys.modules["streaming"] = package
from streaming.base import MDSWriter, Stream, StreamingDataset  # noqa: E402


def main(exported: str, kind: str, folder: str, sizes: str) -> None:
    for name, samples in json.loads(sizes).items():
        with MDSWriter(out=f"{folder}/{name}", columns={"domain": "str", "number": "int"}, size_limit="16kb") as writer:
            for number in range(samples):
                writer.write({"domain": name, "number": number})
    value = yaml.safe_load(Path(exported).read_text(encoding="utf-8"))
    # llm-foundry hands `train_loader.dataset` on to a StreamingDataset in the same words (llmfoundry/data/text_data.py).
    config = value if kind == "streaming" else value["train_loader"]["dataset"]
    streams = [Stream(**stream) for stream in config.pop("streams").values()]
    drawn = [
        sample["domain"] for sample in StreamingDataset(streams=streams, batch_size=1, epoch_size=10_000, **config)
    ]
    print(json.dumps(drawn))


if __name__ == "__main__":
    main(*sys.argv[1:])
