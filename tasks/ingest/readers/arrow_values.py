"""Values of Arrow as Python values, also those that Python has none for: they become the text that Arrow writes.

A date beyond the year 9999, a time with nanoseconds or in an unknown zone is metadata of a text that is fine.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

# What Python, pandas and the time zone libraries raise for a value they cannot hold.
_NO_VALUE = (ArithmeticError, ImportError, LookupError, ValueError, pa.ArrowException)


def rows_of_batch(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    """Yield the rows of a batch; of a row with text that is not UTF-8, which Arrow does not check, the error."""
    try:
        yield from batch.to_pylist()
        return
    except _NO_VALUE:
        # Rows are tried one by one, so that only bad ones pay.
        pass
    for index in range(batch.num_rows):
        row = batch.slice(index, 1)
        try:
            yield row.to_pylist()[0]
        except UnicodeDecodeError as error:
            yield error
        except _NO_VALUE:
            try:
                yield {name: _value(column[0]) for name, column in zip(row.schema.names, row.columns, strict=True)}
            except UnicodeDecodeError as error:
                yield error


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py() if scalar.is_valid else None
    except UnicodeDecodeError:
        raise
    except _NO_VALUE:
        return _part_by_part(scalar)


def _part_by_part(scalar: pa.Scalar) -> Any:
    match scalar:
        case pa.StructScalar():
            return {name: _value(scalar[name]) for name in scalar}
        case pa.MapScalar():
            return [[_value(pair[0]), _value(pair[1])] for pair in _items(scalar)]
        case pa.ListScalar() | pa.LargeListScalar() | pa.FixedSizeListScalar():
            return [_value(item) for item in _items(scalar)]
        case pa.DictionaryScalar():
            return _value(scalar.value)
        case _:
            return _text(scalar)


def _items(scalar: Any) -> Iterator[Any]:
    """Return the elements of a list, or the pairs of a map, as scalars."""
    return iter(scalar.values)


def _text(scalar: pa.Scalar) -> str:
    """Return what Arrow writes for a value; where it writes none (an unknown zone, a year of six digits), its number."""
    try:
        text = str(scalar.cast(pa.string()).as_py())
    except _NO_VALUE:
        text = ""
    if not text or text.startswith("<"):
        return str(getattr(scalar, "value", scalar))
    return text
