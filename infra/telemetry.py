"""No tool reports to its maker unless the user turns that on.

Each name below is the switch that the installed library reads (`tests/infra/test_telemetry.py` asks the libraries).
DVC's look for a newer version is no report but still a call outside; it is turned off in the repository's `.dvc/config`
(`core.check_update`), because DVC has no switch for it in the environment.
"""

import os
from collections.abc import Mapping, MutableMapping

QUIET: Mapping[str, str] = {
    # The common switch. MLflow knows only the word "true"; Prefect and huggingface_hub know it as well as "1".
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # DVC reads only whether it is set; iterative_telemetry is what DVC's extensions report with.
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}


def quiet_environment(current: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the switches to add to an environment; what the user has set in `current` wins and is left out."""
    present = os.environ if current is None else current
    return {name: value for name, value in QUIET.items() if name not in present}


def apply(environment: MutableMapping[str, str] | None = None) -> None:
    """Set the switches in this process (or in `environment`), before the libraries that read them are imported."""
    target = os.environ if environment is None else environment
    target.update(quiet_environment(target))
