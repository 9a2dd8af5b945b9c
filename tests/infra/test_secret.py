"""The secret of a home: made once, for its owner only, and shown to no server but this home's own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.secret import home_secret, mlflow_auth, prefect_auth, private_home
from infra.servers.environment import client_environment, process_environment, user_environment
from infra.settings import load_settings, project_root

TEAM = "http://10.0.0.1:4200/api"


@pytest.fixture
def open_parent() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    secret = home_secret(home)
    assert home_secret(home) == secret
    assert home_secret(tmp_path / "other") != secret
    assert len(secret.partition(":")[2]) >= 43, "256 bits"
    assert (_mode(home), _mode(home / "secret")) == (0o700, 0o600)
    assert [path.name for path in home.iterdir()] == ["secret"], "no draft is left"


def test_a_home_that_others_could_read_is_closed_before_anything_is_put_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert _mode(private_home(tmp_path)) == 0o700


def test_commands_that_race_for_the_secret_all_get_the_same_one(tmp_path: Path) -> None:
    for attempt in range(20):
        home = tmp_path / str(attempt)
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(home_secret, [home] * 8))) == 1


def test_a_secret_that_others_could_have_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    secret = home_secret(tmp_path)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SettingsError, match=r"mode 0644.*Remove it") as caught:
        home_secret(tmp_path)
    assert secret.partition(":")[2] not in str(caught.value)
    (tmp_path / "secret").chmod(0o600)
    for text in ("", "short", "a" * 40 + " " + "b" * 40):
        (tmp_path / "secret").write_text(text)
        with pytest.raises(SettingsError, match="holds no secret"):
            home_secret(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_neither_the_secret_nor_uses_the_home(open_parent: Path) -> None:
    home = open_parent / "home"
    home_secret(home)
    # What Python needs is imported as root: the interpreter may lie where the other user may not look.
    program = (
        "import os\nfrom pathlib import Path\nfrom infra.secret import home_secret\nos.setgid(65534); os.setuid(65534)\n"
        f"try: print(Path({str(home / 'secret')!r}).read_text())\nexcept PermissionError: print('kept')\n"
        f"home_secret(Path({str(home)!r}))"
    )
    command = [sys.executable, "-c", program]
    used = subprocess.run(command, capture_output=True, text=True, cwd=project_root(), check=False)
    assert used.stdout == "kept\n"
    assert "SettingsError" in used.stderr and "MIXWRIGHT_HOME" in used.stderr


def test_the_local_servers_ask_for_the_homes_secret_and_every_program_shows_it(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    secret = home_secret(tmp_path)
    assert prefect_auth(settings) == mlflow_auth(settings) == secret
    for environment in (client_environment(settings), user_environment(settings)):
        assert environment["PREFECT_API_AUTH_STRING"] == secret
        assert f"{environment['MLFLOW_TRACKING_USERNAME']}:{environment['MLFLOW_TRACKING_PASSWORD']}" == secret
        assert secret not in str(environment["PREFECT_API_URL"]) + str(environment["MLFLOW_TRACKING_URI"])


def test_a_teams_server_is_shown_what_the_settings_say_and_never_the_homes_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-the-team")
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    both = load_settings(home=tmp_path, prefect={"url": TEAM}, mlflow={"url": "http://10.0.0.1:5000"})
    assert "PREFECT_API_AUTH_STRING" not in client_environment(both)
    assert process_environment(both)["MLFLOW_TRACKING_PASSWORD"] == "of-the-team"
    assert not (tmp_path / "secret").exists(), "none is made where none is needed"
    one = load_settings(home=tmp_path, prefect={"url": TEAM, "auth_string": "team:word"})
    assert (prefect_auth(one), mlflow_auth(one)) == ("team:word", home_secret(tmp_path))
    assert process_environment(one)["MLFLOW_TRACKING_PASSWORD"] != "of-the-team", "nor a local server a team's"


def test_an_auth_string_of_the_settings_takes_the_place_of_the_homes_secret(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, prefect={"auth_string": "me:mine"})
    assert prefect_auth(settings) == mlflow_auth(settings) == "me:mine"
    for wrong in ("mine", ":mine", "me:"):
        with pytest.raises(SettingsError, match="user:password"):
            load_settings(home=tmp_path, prefect={"auth_string": wrong})


def test_open_servers_ask_for_nothing_and_leftover_credentials_are_taken_out_of_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "left:over")
    settings = load_settings(home=tmp_path, open=True)
    assert prefect_auth(settings) is mlflow_auth(settings) is None
    assert "left:over" not in process_environment(settings).values()
    assert user_environment(settings)["PREFECT_API_AUTH_STRING"] is None, "the shell unsets it"
    with pytest.raises(SettingsError, match="contradict"):
        load_settings(home=tmp_path, open=True, prefect={"auth_string": "me:mine"})
