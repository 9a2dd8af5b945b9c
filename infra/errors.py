"""What the machine refuses: the errors of servers, disks, locks and versions."""

from importlib.util import find_spec


class InfraError(Exception):
    """A named failure of the world outside the stages; says what, where and what to do."""

    exit_code = 1


class SettingsError(InfraError):
    """The environment or a profile holds a setting that does not exist or cannot be read."""

    exit_code = 2


class ServiceError(InfraError):
    """A server is not there, does not answer, or its port is taken."""


class EndpointError(InfraError):
    """A language model's endpoint refuses, or does not answer in time; what it answered before is kept."""


class BudgetError(EndpointError):
    """What is asked of an endpoint would cost more than it may; what was answered is kept."""


class SpaceError(InfraError):
    """The disk has no room for what has to be written."""


class PlaceError(InfraError):
    """A folder cannot be read or written, is none, or went away."""


class LeaseError(InfraError):
    """Another process holds what this one needs."""


class VersionError(InfraError):
    """Git or DVC refuse what was asked, or a version would be moved."""


class NotInstalledError(InfraError):
    """What was asked for needs a package of an extra that this installation went without."""

    @classmethod
    def of(cls, error: ModuleNotFoundError, ours: frozenset[str]) -> "NotInstalledError | None":
        """Return the named error of a package that is missing; None where it is one of `ours`: then that is a defect."""
        package = (error.name or "").partition(".")[0]
        if not package or package in ours:
            return None
        return cls(
            f"{package} is not installed: Mixwright came without the extra that has it. `make install` in the checkout "
            "installs all extras; what each is for stands in pyproject.toml."
        )

    @classmethod
    def require(cls, *packages: str) -> None:
        """Make sure that packages are installed, before other processes need them.

        Raises:
            NotInstalledError: one is not.
        """
        for package in packages:
            if find_spec(package) is None:
                raise cls(str(cls.of(ModuleNotFoundError(name=package), frozenset())))
