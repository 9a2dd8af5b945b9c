"""A shard of documents on its way through curate: the documents as they came, and what steps made of their texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.digest import digest_json
from tasks.core.errors import DataError
from tasks.core.handles import Handle
from tasks.core.tables import read_table


@dataclass(frozen=True)
class TextSource:
    """A shard of documents whose texts were changed by earlier steps.

    `steps` are (name, Parquet file with the shard's rows and a column `text`, null where the step left a text as it
    was). The last step that changed a text has the last word.
    """

    documents: Handle
    steps: tuple[tuple[str, Handle], ...] = ()

    def identity(self) -> str:
        """Return the digest of all that the texts follow from."""
        return digest_json([self.documents.identity(), [[step, texts.identity()] for step, texts in self.steps]])

    def then(self, step: str, texts: Handle) -> "TextSource":
        """Return this source after one more step."""
        return TextSource(self.documents, (*self.steps, (step, texts)))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the shard (None: all of them), with the texts as they are after every step.

        Raises:
            DataError: a file is not Parquet, lacks a column, or has other rows than the shard.
        """
        table = read_table(self.documents.local(), columns)
        if "text" not in table.column_names:
            return table
        text = table["text"]
        for _, overlay in self.overlays(table.num_rows):
            text = pc.coalesce(overlay, text)
        return table.set_column(table.column_names.index("text"), "text", text)

    def overlays(self, rows: int) -> Iterator[tuple[str, pa.ChunkedArray]]:
        """Yield (step, its texts, null where it changed nothing) over a shard of so many rows.

        Raises:
            DataError: a step has another number of rows.
        """
        for step, texts in self.steps:
            overlay = read_table(texts.local(), ("text",))["text"]
            if len(overlay) != rows:
                raise DataError(
                    f"{texts.name} of {step}: {len(overlay):,} rows, {self.documents.name} has {rows:,}. Run curate again."
                )
            yield step, overlay
