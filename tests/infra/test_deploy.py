"""The deployment files, as far as they can be checked without a cluster."""

import copy
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "infra" / "deploy"
WHOLE = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}

# By hand, from the types of KubeRay (ray-operator/apis/ray/v1) and of a Kubernetes pod.
POD = {
    "type": "object",
    "required": ["spec"],
    "additionalProperties": False,
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["containers"],
            "additionalProperties": False,
            "properties": {
                "enableServiceLinks": {"type": "boolean"},
                "automountServiceAccountToken": {"type": "boolean"},
                "securityContext": {"type": "object"},
                "nodeSelector": {"type": "object"},
                "volumes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "image"],
                        "additionalProperties": False,
                        "properties": {
                            "name": TEXT,
                            "image": TEXT,
                            "imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                            "workingDir": TEXT,
                            "securityContext": {"type": "object"},
                            "env": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["name"],
                                    "additionalProperties": False,
                                    # A number here is refused by Kubernetes: values of the environment are text.
                                    "properties": {
                                        "name": TEXT,
                                        "value": {"type": "string"},
                                        "valueFrom": {"type": "object"},
                                    },
                                },
                            },
                            "envFrom": {"type": "array", "items": {"type": "object"}},
                            "resources": {"type": "object", "required": ["requests", "limits"]},
                            "volumeMounts": {"type": "array", "items": {"required": ["name", "mountPath"]}},
                        },
                    },
                },
            },
        },
    },
}
START = {"type": "object", "additionalProperties": {"type": "string"}}
RAYJOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        # KubeRay makes names of services from it; 47 characters is its limit.
        "metadata": {"required": ["name"], "properties": {"name": {"pattern": "^[a-z][-a-z0-9]{0,45}[a-z0-9]$"}}},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec", "backoffLimit", "activeDeadlineSeconds"],
            "additionalProperties": False,
            "properties": {
                "entrypoint": TEXT,
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
                "backoffLimit": WHOLE,
                "activeDeadlineSeconds": {"type": "integer", "minimum": 1},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": WHOLE,
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec", "rayVersion"],
                    "additionalProperties": False,
                    "properties": {
                        "rayVersion": TEXT,
                        "authOptions": {
                            "additionalProperties": False,
                            "properties": {"mode": {"enum": ["token", "disabled"]}, "secretName": TEXT},
                        },
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["template"],
                            "additionalProperties": False,
                            "properties": {
                                "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                                "enableIngress": {"type": "boolean"},
                                "rayStartParams": START,
                                "template": POD,
                            },
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["groupName", "minReplicas", "maxReplicas", "template"],
                                "additionalProperties": False,
                                "properties": {
                                    "groupName": TEXT,
                                    "replicas": WHOLE,
                                    "minReplicas": WHOLE,
                                    "maxReplicas": WHOLE,
                                    "rayStartParams": START,
                                    "template": POD,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def rayjob() -> dict[str, Any]:
    return _load("rayjob.yaml")


@pytest.fixture
def launcher() -> dict[str, Any]:
    return _load("ray-cluster.yaml")


@pytest.fixture
def pinned(project: Path) -> dict[str, str]:
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {name: version for name, _, version in (line.partition("==") for line in lines if "==" in line)}


def test_the_rayjob_has_only_fields_that_kuberay_knows_and_all_that_it_needs(rayjob: dict[str, Any]) -> None:
    jsonschema.validate(rayjob, RAYJOB)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda job: job["spec"].update(backofLimit=1),
        lambda job: job["spec"].pop("rayClusterSpec"),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        lambda job: _containers(job)[0]["env"][0].update(value=8),
    ],
)
def test_the_check_of_the_rayjob_sees_a_misspelt_a_missing_and_a_mistyped_field(
    rayjob: dict[str, Any], spoil: Any
) -> None:
    spoiled = copy.deepcopy(rayjob)
    spoil(spoiled)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoiled, RAYJOB)


def test_kuberay_s_own_types_have_every_field_of_the_cluster(rayjob: dict[str, Any], shared_data: Path) -> None:
    source = _corpus_file(shared_data / "corpus" / "code_kuberay-000.jsonl.gz", "apis/ray/v1/raycluster_types.go")
    cluster = rayjob["spec"]["rayClusterSpec"]
    for struct, used in (
        ("RayClusterSpec", cluster),
        ("AuthOptions", cluster["authOptions"]),
        ("HeadGroupSpec", cluster["headGroupSpec"]),
        ("WorkerGroupSpec", cluster["workerGroupSpecs"][0]),
    ):
        assert set(used) <= _fields_of(source, struct)


def test_the_cluster_file_passes_the_launcher_s_own_validation(launcher: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(launcher))
    with pytest.raises(jsonschema.ValidationError):
        validate_config({**launcher, "max_worker": 2})


def test_both_clusters_ask_for_a_token_and_expose_no_dashboard(
    rayjob: dict[str, Any], launcher: dict[str, Any]
) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["enableIngress"] is False
    (head,) = (command for command in launcher["head_start_ray_commands"] if "ray start" in command)
    (worker,) = (command for command in launcher["worker_start_ray_commands"] if "ray start" in command)
    assert "--dashboard-host=127.0.0.1" in head
    assert "RAY_AUTH_MODE=token" in head
    assert "RAY_AUTH_MODE=token" in worker
    assert "~/.ray/auth_token" in launcher["file_mounts"]


def test_versions_agree_with_the_tested_set(rayjob: dict[str, Any], pinned: dict[str, str], project: Path) -> None:
    assert rayjob["spec"]["rayClusterSpec"]["rayVersion"] == pinned["ray"]
    images = {container["image"] for container in _containers(rayjob)}
    assert len(images) == 1
    found = re.fullmatch(
        r"[a-z0-9./-]+/mixwright:(?P<own>[0-9.]+)-py(?P<python>[0-9.]+)-ray(?P<ray>[0-9.]+)", images.pop()
    )
    assert found is not None
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"FROM python:{found['python']}-slim" in dockerfile
    assert "-c constraints.txt '.[all]'" in dockerfile
    assert found["ray"] == pinned["ray"]
    assert f'version = "{found["own"]}"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    launcher = (DEPLOY / "ray-cluster.yaml").read_text(encoding="utf-8")
    assert f"python{found['python']} -m venv" in launcher
    assert "-c constraints.txt '.[all]'" in launcher


def test_pods_share_the_folder_the_code_and_nothing_of_the_node(rayjob: dict[str, Any]) -> None:
    for container in _containers(rayjob):
        (mount,) = container["volumeMounts"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert mount["mountPath"] == "/mnt/mixwright"
        assert environment["PYTHONPATH"] == container["workingDir"] == "/mnt/mixwright/checkout"
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert environment.get("MIXWRIGHT_HOME", "/mnt/mixwright/home").startswith(f"{mount['mountPath']}/")
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    claim = _load("volume.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in _pods(rayjob):
        (volume,) = pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_service_links_are_off_because_their_names_look_like_settings(rayjob: dict[str, Any]) -> None:
    assert rayjob["metadata"]["name"].startswith("mixwright")
    assert all(pod["enableServiceLinks"] is False for pod in _pods(rayjob))


def test_the_driver_s_environment_is_read_as_settings(rayjob: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.settings import load_settings

    for entry in _containers(rayjob)[0]["env"]:
        if entry["name"].startswith("MIXWRIGHT_"):
            monkeypatch.setenv(entry["name"], entry.get("value", "from-a-secret"))
    settings = load_settings()
    workers = rayjob["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    cpus = [
        group["replicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
        for group in workers
    ]
    assert settings.executor == "ray"
    assert settings.ray_address == "auto"
    assert settings.workers == sum(cpus)
    assert settings.home == Path("/mnt/mixwright/home")
    assert settings.prefect.url is not None
    assert settings.mlflow.url is not None


def test_every_secret_comes_from_a_secret_and_none_stands_in_a_file(rayjob: dict[str, Any]) -> None:
    entries = [entry for container in _containers(rayjob) for entry in container["env"]]
    secret = [entry for entry in entries if re.search(r"PASSWORD|USERNAME|AUTH|TOKEN|SECRET|KEY", entry["name"])]
    assert {"MIXWRIGHT_PREFECT__AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"} <= {entry["name"] for entry in secret}
    assert [entry for entry in secret if "value" in entry or "secretKeyRef" not in entry["valueFrom"]] == []


def test_the_entrypoint_is_a_command_line_that_we_have(rayjob: dict[str, Any], project: Path) -> None:
    from click import Context

    from cli.main import run

    program, verb, *arguments = rayjob["spec"]["entrypoint"].split()
    assert (program, verb) == ("mixwright", "run")
    values = run.make_context("run", list(arguments), parent=Context(run)).params
    assert (project / "configs" / f"{values['preset']}.yaml").is_file()
    assert values["inputs"]


def _load(name: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return value


def _pods(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = rayjob["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def _containers(rayjob: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for pod in _pods(rayjob) for container in pod["containers"]]


def _corpus_file(path: Path, ending: str) -> str:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        (text,) = (document["text"] for document in _documents(lines) if document["id"].endswith(ending))
    return str(text)


def _documents(lines: Any) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines)


def _fields_of(source: str, struct: str) -> set[str]:
    body = source.partition(f"type {struct} struct {{")[2].partition("\n}")[0]
    return set(re.findall(r'json:"([a-zA-Z]+)', body))
