"""No tool reports to its maker: each installed library is asked whether the switch we set is the one it reads."""

import json
import os
import subprocess
import sys

from infra import telemetry
from infra.settings import project_root

# Asked in a fresh process, because libraries read their switches once. Each question is True when the library reports.
QUESTIONS = """
import json, os
if {apply}:
    from infra import telemetry
    telemetry.apply()
import mlflow.telemetry.utils as mlflow_telemetry
mlflow_telemetry._IS_IN_CI_ENV_OR_TESTING = False
import prefect._internal.analytics.enabled as prefect_telemetry
from prefect.settings import get_current_settings
from ray._common.usage import usage_lib
from dvc import analytics
from huggingface_hub import constants
from iterative_telemetry import IterativeTelemetryLogger
answers = {{
    "mlflow": not mlflow_telemetry.is_telemetry_disabled(),
    "prefect server": get_current_settings().server.analytics_enabled,
    "prefect client": prefect_telemetry.is_telemetry_enabled(),
    "prefect promotion": get_current_settings().server.ui.show_promotional_content,
    "ray": usage_lib.usage_stats_enabled(),
    "ray prompt": usage_lib.usage_stats_prompt_enabled(),
    "dvc": analytics.is_enabled(),
    "huggingface": not constants.HF_HUB_DISABLE_TELEMETRY,
    "huggingface updates": not constants.HF_HUB_DISABLE_UPDATE_CHECK,
    "iterative": IterativeTelemetryLogger("dvc", "0", enabled=lambda: True).is_enabled(),
}}
print(json.dumps(answers))
"""
CI = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "BUILDKITE",
    "CIRCLECI",
    "TRAVIS",
    "TF_BUILD",
    "PYTEST_VERSION",
)


def _who_reports(*, apply: bool, **environment: str) -> set[str]:
    plain = {name: value for name, value in os.environ.items() if name not in telemetry.QUIET and name not in CI}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", QUESTIONS.format(apply=apply)],
        env=plain | environment | {"PYTHONPATH": str(project_root())},
        cwd=os.path.sep,
        capture_output=True,
        text=True,
        check=True,
    )
    answers: dict[str, bool] = json.loads(done.stdout.splitlines()[-1])
    return {name for name, reports in answers.items() if reports}


def test_no_library_reports_once_the_switches_are_set() -> None:
    assert _who_reports(apply=True) == set()


def test_the_libraries_would_report_without_them_so_the_test_above_can_fail() -> None:
    loud = _who_reports(apply=False)
    assert {"mlflow", "prefect server", "prefect client", "ray", "dvc", "huggingface", "iterative"} <= loud


def test_what_the_user_has_set_wins() -> None:
    environment = {"PREFECT_SERVER_ANALYTICS_ENABLED": "true", "OTHER": "1"}
    telemetry.apply(environment)
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "PREFECT_SERVER_ANALYTICS_ENABLED" not in telemetry.quiet_environment(environment)
    assert telemetry.quiet_environment({}) == dict(telemetry.QUIET)
