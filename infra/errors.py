"""What the machine refuses: the errors of servers, disks, locks and versions."""

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

# Packages that are imported by another name than that of what holds them.
_CALLED = {"fasttext": "fasttext-predict", "phonenumbers": "phonenumberslite", "sklearn": "scikit-learn"}
_OF_EXTRA = re.compile(r"""([\w.-]+).*; extra == ["']([\w-]+)["']$""")


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


class StoreError(InfraError):
    """The store's server refuses, does not answer in time, or does not keep what a store needs."""


class ObjectError(InfraError, OSError):
    """An object of the store is missing, or is not what was written."""


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
        extra = extra_of(package)
        return cls(
            f"{package} is not installed: Mixwright came without the extra that has it. Install it with `pip install "
            f"'mixwright[{extra or 'all'}]'`, or all of them with `make install` in the checkout."
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


def extra_of(package: str) -> str | None:
    """Return the extra of Mixwright that has a package, by the name it is imported by; None: none has, or nobody knows.

    >>> extra_of("sklearn"), extra_of("antigravity")
    ('curation', None)
    """
    wanted = _CALLED.get(package, package).replace("_", "-").lower()
    try:
        needs = requires("mixwright") or ()
    except PackageNotFoundError:
        return None
    found = (_OF_EXTRA.match(need) for need in needs)
    return next((one[2] for one in found if one and one[1].lower() == wanted and one[2] != "dev"), None)
