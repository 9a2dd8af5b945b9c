"""Files that cannot be used at all: the run stops at them, or they are set aside whole under a budget."""

from tasks.core.errors import DataError

# The reasons of whole files in quarantine: they have a budget of their own.
FILE_REASONS = frozenset({"damaged_file", "empty_file"})


class DamagedFileError(DataError):
    """A file is truncated, damaged or empty. `offset` is how far it could be read, `detail` names no folder."""

    def __init__(
        self, message: str, *, reason: str = "damaged_file", location: str = "", offset: int = 0, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.reason, self.location, self.offset, self.detail = reason, location, offset, detail or message


class NoTextColumnError(DataError):
    """A file of columns has none that is called like the text field. `columns` are those it has."""

    def __init__(self, message: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.columns = columns


def damaged(location: str, detail: str, offset: int) -> DamagedFileError:
    """Return the error of a file that is damaged at `offset`."""
    advice = "Nothing of this file was used. Get the file again, leave it out of the input, or allow for it with"
    message = f"{location}: {detail}. {advice} ingest.max_damaged_files."
    return DamagedFileError(message, location=location, offset=offset, detail=detail)
