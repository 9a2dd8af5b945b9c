"""Settings: which source wins, what is refused, and that secrets stay secret."""

import os
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.servers import client_environment
from infra.settings import Settings, load_settings, project_root, usable_cpus


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("MIXWRIGHT_"):
            monkeypatch.delenv(name)


def test_the_defaults_stay_on_this_machine_and_in_this_checkout() -> None:
    settings = load_settings()
    assert settings.home == project_root() / ".mixwright"
    assert (project_root() / "infra" / "settings.py").is_file()
    assert settings.prefect.host == settings.mlflow.host == "127.0.0.1"
    assert settings.prefect.api_url == "http://127.0.0.1:4200/api"
    assert settings.mlflow.tracking_uri == "http://127.0.0.1:5000"
    assert settings.dvc.remote is None
    assert (settings.proxies_per_process, settings.gpus_per_process) == (8, 0.0)


def test_an_argument_wins_over_the_environment_which_wins_over_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('workers = 5\nray_address = "auto"\n[prefect]\nport = 4001\nheartbeat_s = 40\n')
    monkeypatch.setenv("MIXWRIGHT_PROFILE", str(profile))
    monkeypatch.setenv("MIXWRIGHT_PREFECT__PORT", "4002")
    assert load_settings().workers == 5
    assert load_settings().prefect.port == 4002
    assert load_settings().prefect.heartbeat_s == 40, "the environment replaces one field, not the whole group"
    assert load_settings(prefect={"port": 4003}).prefect.port == 4003


def test_the_profiles_of_the_repository_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (project_root() / "infra" / "profiles").glob("*.toml"):
        monkeypatch.setenv("MIXWRIGHT_PROFILE", path.stem)
        assert isinstance(load_settings(), Settings)


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_PROFILE", "nowhere")
    with pytest.raises(SettingsError, match=r"MIXWRIGHT_PROFILE=nowhere.*Profiles here: .*cluster"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MIXWRIGHT_WROKERS", "2", "MIXWRIGHT_WROKERS"),
        ("MIXWRIGHT_PREFECT__POTR", "2", "MIXWRIGHT_PREFECT__POTR"),
        ("MIXWRIGHT_GPUS_PER_PROCESS", "1.5", "MIXWRIGHT_GPUS_PER_PROCESS"),
        ("MIXWRIGHT_PREFECT__PORT", "70000", "MIXWRIGHT_PREFECT__PORT"),
        ("MIXWRIGHT_EXECUTOR", "slurm", "'ray' or 'local'"),
        ("MIXWRIGHT_WORKERS", "0", "MIXWRIGHT_WORKERS"),
        ("MIXWRIGHT_PREFECT", "{port: 2", r'is not JSON.*"prefect"'),
    ],
)
def test_a_mistake_in_the_environment_is_refused_by_name(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=says):
        load_settings()


@pytest.mark.parametrize("content", [b"workers = [", b"\xff"])
def test_a_profile_that_is_no_toml_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    monkeypatch.setenv("MIXWRIGHT_PROFILE", str(tmp_path / "mine.toml"))
    with pytest.raises(SettingsError, match=r"mine\.toml: this is not TOML"):
        load_settings()


def test_a_secret_is_in_no_repr_and_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_PREFECT__AUTH_STRING", "admin:do-not-print")
    settings = load_settings()
    assert settings.prefect.auth_string is not None
    assert settings.prefect.auth_string.get_secret_value() == "admin:do-not-print"
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "do-not-print" not in text
    monkeypatch.setenv("MIXWRIGHT_PREFECT__PORT", "do-not-print")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "do-not-print" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_home_with_a_tilde_or_relative_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(home=Path("here")).home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MIXWRIGHT_HOME", "~/there")
    assert load_settings().home == tmp_path / "there"


def test_workers_are_the_cpus_this_process_may_use_and_at_most_eight() -> None:
    assert load_settings().workers == usable_cpus()
    assert 1 <= usable_cpus() <= 8
    if hasattr(os, "sched_getaffinity"):
        assert usable_cpus() <= len(os.sched_getaffinity(0))


def test_a_process_started_by_another_reads_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        home=tmp_path,
        workers=3,
        executor="local",
        prefect={"port": 4321, "auth_string": "admin:secret"},
        mlflow={"url": "http://10.0.0.1:5000"},
        dvc={"remote": "store"},
    )
    for name, value in client_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize(
    "value",
    ["gs://bucket/x", "az://bucket", "s3://", "s3://B", "s3://key:secret@bucket", "s3://bucket/../x y", "/mnt/store"],
)
def test_a_store_that_is_no_bucket_of_s3_is_refused_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXWRIGHT_STORE", value)
    with pytest.raises(
        SettingsError, match=r"MIXWRIGHT_STORE.*a store is s3://BUCKET or s3://BUCKET/PREFIX"
    ) as refused:
        load_settings()
    assert "secret" not in str(refused.value)
