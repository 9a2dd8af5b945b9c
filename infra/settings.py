"""Settings: where things run. They never change a result, are no part of any key, and come from the environment.

Order: arguments, then `MIXWRIGHT_<FIELD>` and `MIXWRIGHT_<GROUP>__<FIELD>`, then the profile that `MIXWRIGHT_PROFILE`
names (`infra/profiles/<name>.toml` or the path of a TOML file), then the defaults below. Secrets of a team's servers come
from the environment only, and are never printed; the local servers' own is made by `infra/secret.py`.
"""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableError

from infra.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "MIXWRIGHT_"
PROFILE = "MIXWRIGHT_PROFILE"
# Read where they are meant: compiled kernels or their fallbacks; the peers and the corpus of the benchmarks.
_READ_ELSEWHERE = frozenset({"KERNELS", "PEERS", "SHARED"})
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?", re.ASCII)
_PROJECT = Path(__file__).resolve().parents[1]


def project_root() -> Path:
    """Return the folder of this checkout: the one that holds `pyproject.toml` and the package `infra`."""
    return _PROJECT


def usable_cpus() -> int:
    """Return how many CPUs this process may use, at most 8: each worker takes memory of its own (a guess)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, 8))


def default_executor() -> Literal["ray", "local"]:
    """Return Ray where it is installed; without the extra `platform` work runs in processes of this machine."""
    return "local" if find_spec("ray") is None else "ray"


class _Group(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PrefectSettings(_Group):
    """The Prefect server. With `url` None a local one is started on `host` and `port`; a team names its own.

    `auth_string` is `user:password`: what a team's server asks for, or the local ones instead of the home's own secret.
    `allowed_hosts` are values of Host (`name:port`) by which the local server is asked besides its own, through a proxy.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 4200
    url: str | None = None
    auth_string: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    heartbeat_s: Annotated[int, Field(ge=30)] = 30
    zombie_after_s: Annotated[int, Field(ge=60)] = 90
    concurrent_runs: Annotated[int, Field(ge=1)] = 2

    @property
    def api_url(self) -> str:
        """The address of the API."""
        return self.url or f"{_local_url(self.host, self.port)}/api"

    @property
    def ui_url(self) -> str:
        """The address of the UI."""
        return self.api_url.removesuffix("/api")


class MlflowSettings(_Group):
    """The MLflow server. Credentials of a team's server: MLflow's own `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5000
    url: str | None = None
    allowed_hosts: tuple[str, ...] = ()

    @property
    def tracking_uri(self) -> str:
        """The address of the API and of the UI."""
        return self.url or _local_url(self.host, self.port)


class DvcSettings(_Group):
    """The DVC remote that versions are pushed to; None keeps them on this machine."""

    remote: str | None = None


class PriceSettings(_Group):
    """What an hour of a CPU and of a GPU costs (None = not told), in a currency: costs are told in money then."""

    cpu_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    gpu_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    currency: Annotated[str, Field(pattern=r"^\S{1,8}$")] = "USD"

    def money(self, cpu_s: float, gpu_s: float) -> float | None:
        """Return what seconds of CPUs and GPUs cost; None where what was used has no price.

        >>> PriceSettings(gpu_hour=3.6).money(cpu_s=0.0, gpu_s=500.0)
        0.5
        """
        used = [(cpu_s, self.cpu_hour), (gpu_s, self.gpu_hour)]
        if self.cpu_hour is self.gpu_hour is None:
            return None
        if any(seconds and price is None for seconds, price in used):
            return None
        return sum(seconds / 3600 * price for seconds, price in used if price is not None)


class EndpointSettings(_Group):
    """How endpoints of language models are asked, and what one list of requests may cost (None = no limit).

    At most `concurrency` requests at a time, `requests_per_minute` (None = as the endpoint lets); an attempt may take
    `timeout_s`, a request with all its attempts `deadline_s`. `max_requests`, `max_tokens`, and `max_cost` at `input_price`
    and `output_price` of a million tokens, count what was answered before too. The key stands in no setting.
    """

    concurrency: Annotated[int, Field(ge=1, le=512)] = 8
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    deadline_s: Annotated[float, Field(gt=0)] = 900.0
    max_requests: Annotated[int, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    input_price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    output_price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _money_has_a_price(self) -> "EndpointSettings":
        if self.max_cost is not None and (self.input_price is None or self.output_price is None):
            raise ValueError(
                "MIXWRIGHT_ENDPOINT__MAX_COST needs a price: MIXWRIGHT_ENDPOINT__INPUT_PRICE and __OUTPUT_PRICE, of a "
                "million tokens"
            )
        return self


class TimeoutSettings(_Group):
    """How long to wait for the world, in seconds."""

    start_s: Annotated[float, Field(gt=0)] = 180.0
    stop_s: Annotated[float, Field(gt=0)] = 15.0
    request_s: Annotated[float, Field(gt=0)] = 20.0


class Settings(BaseSettings):
    """Placement of one project on one machine. Read it with `load_settings`, which explains mistakes.

    `home` holds servers, logs, the store of finished work and run workspaces. `store` is a bucket for finished work instead
    (`s3://bucket/prefix`, docs/storage.md), of whose files each machine keeps at most `cache_gb` in its home.
    `workers` is how many units of work run at a time; `ray_address` None starts a local Ray; `world_size` counts the
    trainers of a full run, each on a CPU or a GPU of its own, as `device` says (auto = on a GPU where this machine has
    one). Where there is no room for all of them, a run
    goes on with fewer, at least `min_world_size` (None = never). The proxies of a search are trained `proxies_per_process`
    together, on `gpus_per_process` of a GPU (0 = on the CPU); Ray places shares of a GPU, and each process keeps to its
    share of the GPU's memory. After `time_limit_s` of a command training stops at a
    checkpoint, as it does when Slurm's SIGUSR1 or SIGTERM comes. `peak_tflops` is what the device of a training process
    could do, of which MFU is a share (None = by the name of its GPU, where that is known). `open` servers ask for no secret.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    home: Path = Field(default_factory=lambda: project_root() / ".mixwright")
    open: bool = False
    prefect: PrefectSettings = PrefectSettings()
    mlflow: MlflowSettings = MlflowSettings()
    store: str | None = None
    cache_gb: Annotated[float, Field(gt=0)] = 20.0
    executor: Annotated[Literal["ray", "local"], Field(default_factory=default_executor)]
    workers: Annotated[int, Field(default_factory=usable_cpus, ge=1)]
    ray_address: str | None = None
    world_size: Annotated[int, Field(ge=1)] = 1
    min_world_size: Annotated[int, Field(ge=1)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    proxies_per_process: Annotated[int, Field(ge=1, le=256)] = 8
    gpus_per_process: Annotated[float, Field(ge=0, le=1)] = 0.0
    time_limit_s: Annotated[float, Field(gt=0)] | None = None
    peak_tflops: Annotated[float, Field(gt=0)] | None = None
    dvc: DvcSettings = DvcSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    prices: PriceSettings = PriceSettings()
    endpoint: EndpointSettings = EndpointSettings()

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("store")
    @classmethod
    def _bucket(cls, value: str | None) -> str | None:
        return None if value is None else bucket_address(value)

    @model_validator(mode="after")
    def _fewer_than_all(self) -> "Settings":
        if self.min_world_size is not None and self.min_world_size > self.world_size:
            raise ValueError(
                f"MIXWRIGHT_MIN_WORLD_SIZE ({self.min_world_size}) is above MIXWRIGHT_WORLD_SIZE ({self.world_size})"
            )
        return self

    @model_validator(mode="after")
    def _one_word_on_secrets(self) -> "Settings":
        given = self.prefect.auth_string
        if self.prefect.url is None and given is not None:
            if self.open:
                raise ValueError("MIXWRIGHT_OPEN (--open) and MIXWRIGHT_PREFECT__AUTH_STRING contradict each other")
            if not all(given.get_secret_value().partition(":")[::2]):
                raise ValueError("MIXWRIGHT_PREFECT__AUTH_STRING of a local server is user:password")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, profile."""
        path = profile_path()
        profile = () if path is None else (TomlConfigSettingsSource(settings_cls, path),)
        return init_settings, env_settings, *profile


def bucket_address(text: str) -> str:
    """Return the address of a bucket and a prefix without a slash at its end.

    Raises:
        ValueError: it is none, or of a service whose writes cannot be relied on here.

    >>> bucket_address("s3://data/mixwright/")
    's3://data/mixwright'
    """
    if _BUCKET.fullmatch(text) is None:
        raise ValueError(
            "a store is s3://BUCKET or s3://BUCKET/PREFIX (letters, digits and ._-/ ), with credentials and endpoint in the "
            "environment; of other services (gs://, az://) the interface of S3 can be used where it honours If-None-Match "
            "and If-Match"
        )
    return text.rstrip("/")


def _local_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def profile_path() -> Path | None:
    """Return the TOML file that `MIXWRIGHT_PROFILE` names, or None.

    Raises:
        SettingsError: there is no such file; says which profiles there are.
    """
    name = os.environ.get(PROFILE)
    if not name:
        return None
    folder = project_root() / "infra" / "profiles"
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.toml"))) or "none"
        raise SettingsError(f"{PROFILE}={name}: there is no {path}. Profiles here: {known}; or name a .toml file.")
    return path


def load_settings(**arguments: Any) -> Settings:
    """Return the settings of this process; `arguments` win over environment and profile.

    Raises:
        SettingsError: a name is unknown or a value cannot be read; says which, and never what the value was.
    """
    _refuse_unknown(os.environ)
    profile = profile_path()
    where = f" (environment, or {profile})" if profile else " (environment)"
    try:
        return Settings(**arguments)
    except UnreadableError as error:
        # Its cause quotes the value, which may be a secret.
        raise SettingsError(f"a group of settings{where} is not JSON: {error}.") from None
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{profile}: this is not TOML: {error}.") from None
    except ValidationError as error:
        lines = ["  " + ": ".join(_words(mistake)) for mistake in error.errors(include_input=False)]
        raise SettingsError(f"{len(lines)} mistake(s) in the settings{where}:\n" + "\n".join(lines)) from None


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {name.upper() for name in Settings.model_fields} | {PROFILE.removeprefix(PREFIX), *_READ_ELSEWHERE}
    given = (name for name in environment if name.upper().startswith(PREFIX))
    unknown = sorted(name for name in given if name.upper().removeprefix(PREFIX).split("__")[0] not in known)
    if unknown:
        raise SettingsError(
            f"{len(unknown)} unknown setting(s) in the environment; first: {unknown[0]}. "
            f"Known: {', '.join(PREFIX + name for name in sorted(known))}, and {PREFIX}<GROUP>__<FIELD>."
        )


def _words(mistake: "ErrorDetails") -> tuple[str, ...]:
    name = PREFIX + "__".join(str(part).upper() for part in mistake["loc"])
    return (name, mistake["msg"]) if mistake["loc"] else (mistake["msg"],)
