"""Files that cannot be used at all: the run stops at them, or they are set aside whole under a budget."""

from tasks.core.errors import DataError
from tasks.ingest.places import printable

# The reasons of whole files in quarantine. One may hold a million records, so they have a budget of their own: damaged
# ones, those beyond a limit, those of no known kind, texts that are none, and files in an archive of which this holds.
FILE_REASONS = frozenset(
    {
        "damaged_file",
        "unreadable_file",
        "unknown_kind",
        "file_too_long",
        "file_not_utf8",
        "damaged_member",
        "member_too_long",
        "nested_archive",
        "encrypted",
        "member_bomb",
    }
)
_AGAIN = "Get the file again, leave it out of the input, or allow for it with ingest.max_damaged_files"


class DamagedFileError(DataError):
    """A file cannot be used as a whole. `offset` is how far it could be read, `detail` names no folder."""

    def __init__(
        self, message: str, *, reason: str = "damaged_file", location: str = "", offset: int = 0, detail: str = ""
    ) -> None:
        super().__init__(printable(message))
        self.reason, self.location, self.offset, self.detail = reason, location, offset, detail or message


class NoTextColumnError(DataError):
    """A file of columns has none that is called like the text field. `columns` are those it has."""

    def __init__(self, message: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.columns = columns


def damaged(location: str, detail: str, offset: int) -> DamagedFileError:
    """Return the error of a file that is damaged at `offset`."""
    message = f"{location}: {detail}. Nothing of this file was used. {_AGAIN}."
    return DamagedFileError(message, location=location, offset=offset, detail=detail)


def unusable(location: str, reason: str, detail: str, advice: str, size: int = 0) -> DamagedFileError:
    """Return the error of a file that is whole but cannot be read; `advice` is what to do, as a sentence."""
    allow = "leave it out of the input, or allow for it with ingest.max_damaged_files"
    message = f"{location}: {detail}. Nothing of this file was used. {advice}, {allow}."
    return DamagedFileError(message, reason=reason, location=location, offset=size, detail=detail)
