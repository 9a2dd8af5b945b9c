"""text-dedup's MinHash command on JSONL files: `text_dedup_minhash.py INPUT_FOLDER OUTPUT_FOLDER`."""

import json
import subprocess
import sys
from pathlib import Path


def main(source: str, target: str) -> None:
    """Run `python -m text_dedup.minhash` with 14 bands of 8 rows and 5-grams in one process."""
    options = [
        *("--path", "json", "--data_files", f"{source}/*.jsonl.gz", "--split", "train"),
        *("--cache_dir", f"{target}-cache", "--output", target, "--column", "text", "--num_proc", "1"),
        *("--ngram", "5", "--num_perm", "112", "--b", "14", "--r", "8", "--min_length", "5"),
        *("--hash_func", "xxh3", "--batch_size", "10000"),
    ]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", *options], check=True)
    # Counted without loading the data set: that would be charged to text-dedup.
    state = json.loads((Path(target) / "dataset_info.json").read_text(encoding="utf-8"))
    print(json.dumps({"documents": state["splits"]["train"]["num_examples"]}))


main(*sys.argv[1:])
