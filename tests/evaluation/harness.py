"""Runs where lm-evaluation-harness is installed: its answers to the items of some files. Prints them as JSON.

Arguments: who computes (`hf`, `mixwright`), how it loads the model (`pretrained=...`); by name, as JSON, the file of a task
and the task in its own words.
"""

import json
import os
import sys
from typing import Any

# Nothing is fetched: its metrics and datasets may ask a hub.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}


def main(by: str, model: str, tasks: str) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    from tasks.evaluation.harness.adapter import register

    register()
    asked = json.loads(tasks)
    made = [ConfigurableTask(config=_config(name, **one)) for name, one in asked.items()]
    found = simple_evaluate(
        model=by,
        model_args=model,
        tasks=made,
        log_samples=True,
        batch_size=1,
        device="cpu",
        bootstrap_iters=0,
    )
    assert found is not None
    print(json.dumps({name: _told(found, name) for name in asked}))


def _config(name: str, file: str, task: dict[str, Any]) -> dict[str, Any]:
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": file}}, "test_split": "test"}
    return {"task": name, **source, **task}


def _told(found: Any, name: str) -> dict[str, Any]:
    samples = sorted(found["samples"][name], key=lambda sample: int(sample["doc_id"]))
    scores = {score: value for score, value in found["results"][name].items() if isinstance(value, float)}
    return {"answers": [sample["filtered_resps"] for sample in samples], "scores": scores}


if __name__ == "__main__":
    main(*sys.argv[1:])
