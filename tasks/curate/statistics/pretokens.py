"""Pre-tokens: how long a text is to a tokenizer, without a tokenizer.

A pre-token is a maximal run of letters (`str.isalpha`), a maximal run of decimal digits (`str.isdecimal`), or any other
character that is not blank, by itself. In scripts without blanks a run would be a whole clause: there every letter is one.
Mixwright counts tokens this way in its accounts of curation, where no tokenizer has been chosen yet; a tokenizer with
merges gives another number, usually a larger one for text other than English.
"""

import re
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tasks.core.scripts import UNSPACED, char_class
from tasks.curate.native import kernel
from tasks.curate.statistics.texts import Texts

# The second part also takes what is alphanumeric but no letter, such as "²": `_letters_and_others` tells them apart.
_PIECES = re.compile(rf"\d+|[^\W\d_{char_class(UNSPACED)}]+|\S")


def pretokens(texts: Texts) -> NDArray[np.int64]:
    """Return how many pre-tokens each of N texts has, int64 [N].

    >>> from tasks.curate.statistics.texts import texts_of
    >>> pretokens(texts_of(["It's 12.5 km²"])).tolist()  # It ' s 12 . 5 km ²
    [8]
    """
    compiled = kernel("gopher")
    if compiled is None:
        return np.array([_count(text) for text in texts.to_list()], np.int64)
    counts_N = np.empty(len(texts), np.int64)
    compiled.pretokens(texts.data, texts.offsets, counts_N)
    return counts_N


def _count(text: str) -> int:
    pieces = _PIECES.findall(text)
    mixed = [piece for piece in pieces if len(piece) > 1 and not piece.isalpha() and not piece.isdecimal()]
    return len(pieces) - len(mixed) + sum(map(_letters_and_others, mixed))


def _letters_and_others(piece: str) -> int:
    return sum(1 if letters else len(list(run)) for letters, run in groupby(piece, str.isalpha))
