"""The hierarchy of errors a stage can raise.

    MixwrightError            exit code 1
    ├── ConfigError           exit code 2   edit the YAML or the command line
    ├── DataError             exit code 2   look at that file, shard or record
    │   ├── DamagedError      exit code 2   what a stage wrote is not what is there: have it made again
    │   ├── AccountError      exit code 1   documents went missing: a defect, never served as a result
    │   └── NothingKeptError  exit code 1   a stage kept no document: look at why, in what it published
    ├── EvidenceError         exit code 1   measure more before you decide
    ├── StoppedError          exit code 0   a time limit or a signal asked for it: the same command goes on
    └── ForeignCodeError      exit code 1   a worker imported another checkout than the driver

What the machine refuses (ports, disk space, servers, locks) is `infra.errors.InfraError`.
"""


class MixwrightError(Exception):
    """A named failure that says what, where, how many and what to do."""

    exit_code = 1


class ConfigError(MixwrightError):
    """The configuration asks for something that cannot be done."""

    exit_code = 2


class DataError(MixwrightError):
    """The input cannot be read, or holds what it must not hold."""

    exit_code = 2


class DamagedError(DataError):
    """A file that Mixwright wrote is missing, or its bytes are not those that were written."""


class AccountError(DataError):
    """What came in is not what was kept, dropped and quarantined."""

    exit_code = 1


class NothingKeptError(DataError):
    """A stage came to its end and kept nothing; what it published says why."""

    exit_code = 1


class EvidenceError(MixwrightError):
    """There are too few measurements, or they contradict each other."""


class StoppedError(MixwrightError):
    """Work was asked to stop before its end, and did: what it has is kept, and the same command goes on from there."""

    exit_code = 0


class ForeignCodeError(MixwrightError):
    """The imported `tasks` package is not the one the driver runs."""
