"""Which results of lm-evaluation-harness are taken in."""

from collections.abc import Mapping

from pydantic import Field

from tasks.core.params import Params


class HarnessResultsParams(Params):
    """What lm-evaluation-harness wrote of one model: its scores stand beside those of our own tasks."""

    file: str = Field(min_length=1, description="results_*.json below the --output_path of the harness")
    model: str | None = Field(
        default=None,
        description="the model that was asked; null = the one with these weights, where `mixwright harness` wrote the "
        "file, else the one of this folder or file name",
    )
    samples: Mapping[str, str] = Field(
        default={},
        description="by task, its samples_*.jsonl of --log_samples: then its items are known; none = not read",
    )
