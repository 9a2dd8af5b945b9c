"""Write facts.json anew, from an installed spaCy and datatrove: `python -m tasks.curate.english.regenerate > facts.json`.

For development only. What is carried over are facts (which characters are in a class, where an abbreviation is cut), not
code: spaCy is MIT-licensed (Explosion), datatrove Apache-2.0 (Hugging Face). Where a rule can be asked (is this character
a prefix?), spaCy's tokenizer is asked, and its tables are not read.
"""

import json
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

# Every character but surrogates, which no UTF-8 holds.
EVERY = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]


def collect_facts() -> dict[str, Any]:
    """Return the content of facts.json as the installed spaCy and datatrove have it."""
    spacy, classes = import_module("spacy"), import_module("spacy.lang.char_classes")
    tokenizer = spacy.blank("en").tokenizer
    return {
        "source": f"spaCy {spacy.__version__} (MIT), blank English; datatrove {version('datatrove')} (Apache-2.0)",
        "classes": {
            "prefix": _ranges(lambda c: tokenizer.find_prefix(c) == 1 == tokenizer.find_prefix(c + "0")),
            "suffix": _ranges(lambda c: tokenizer.find_suffix(c) == 1),
            "infix": _ranges(lambda c: bool(tokenizer.find_infix(c))),
            "before_period": _ranges(lambda c: tokenizer.find_suffix(c + ".") == 1),
            "alpha": _ranges(re.compile(f"[{classes.ALPHA}]").match),
            "lower": _ranges(re.compile(f"[{classes.ALPHA_LOWER}]").match),
            "upper": _ranges(re.compile(f"[{classes.ALPHA_UPPER}]").match),
            "quote": _ranges(re.compile(f"[{classes.CONCAT_QUOTES}]").match),
            "sentence_end": _ranges(set(import_module("spacy.pipeline").Sentencizer.default_punct_chars).__contains__),
            "symbol": _ranges(import_module("datatrove.utils.text").PUNCTUATION_SET.__contains__),
        },
        **_affixes(classes),
        "exceptions": _exceptions(tokenizer),
        "stop_words": import_module("datatrove.pipeline.filters.gopher_quality_filter").STOP_WORDS,
    }


def _ranges(contains: Callable[[str], Any]) -> list[int]:
    """Return a class of characters as first, last, first, last, ... code points."""
    bounds: list[int] = []
    for code in (ord(c) for c in EVERY if contains(c)):
        if bounds and bounds[-1] == code - 1:
            bounds[-1] = code
        else:
            bounds += [code, code]
    return bounds


def _affixes(classes: Any) -> dict[str, list[str]]:
    """Return the affixes of more than one character, and what is cut off behind a digit."""
    currencies = sorted({currency.replace("\\", "") for currency in classes.CURRENCY.split("|")})
    suffixes = import_module("spacy.lang.punctuation").TOKENIZER_SUFFIXES
    return {
        "prefixes": [currency for currency in currencies if len(currency) > 1],
        "suffixes": sorted({entry for entry in suffixes if len(entry) == 2 and "\\" not in entry}),
        "after_digit": sorted({"+", *currencies, *classes.UNITS.split("|")}),
        "hyphens": sorted(classes.HYPHENS.split("|")),
    }


def _exceptions(tokenizer: Any) -> list[str]:
    """Return the chunks with tokens of their own, their tokens separated by spaces; those of whitespace never come up."""
    orth = import_module("spacy.symbols").ORTH
    chunks = {chunk: [token[orth] for token in tokens] for chunk, tokens in tokenizer.rules.items()}
    return sorted(" ".join(tokens) for chunk, tokens in chunks.items() if not any(c.isspace() for c in chunk))


def main() -> None:
    """Print facts.json, one fact per line."""
    facts = collect_facts()
    lines = [f"    {json.dumps(name)}: {json.dumps(bounds)}" for name, bounds in facts.pop("classes").items()]
    others = [f"  {json.dumps(name)}: {json.dumps(fact, ensure_ascii=True)}" for name, fact in facts.items()]
    classes = '  "classes": {\n' + ",\n".join(lines) + "\n  }"
    sys.stdout.write("{\n" + ",\n".join([others[0], classes, *others[1:]]) + "\n}\n")


if __name__ == "__main__":
    main()
