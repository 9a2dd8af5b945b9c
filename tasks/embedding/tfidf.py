"""TF-IDF and truncated SVD (latent semantic analysis; Deerwester et al. 1990): the default embedder.

Axes: N documents, V terms, D dimensions.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from tasks.core.errors import ConfigError
from tasks.core.params import Params
from tasks.core.rng import seed_of
from tasks.embedding.terms import terms

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

Floats = npt.NDArray[np.float32]

# Terms are runs of letters, so that snake_case falls into its words, and the marks of code and markup, each a term of its
# own: they tell code and prose apart whatever the identifiers are called.
_SHORTEST, _SIGNS = 2, r"{}()\[\];=<>/*#&|$@\\^~"


class TfidfEmbedder(Params):
    """Word TF-IDF, then a truncated SVD: needs no model and no network.

    On 60,000 documents of 14 sources, 32, 64 and 128 dimensions, and a fit on 20,000 or 60,000 documents, gave domains
    that agree with the sources equally well within the spread over seeds; hence the cheaper defaults.
    """

    kind: Literal["tfidf"] = "tfidf"
    dimensions: PositiveInt | None = Field(
        default=None, description="null = 64, or in a small corpus half of its documents or terms"
    )
    max_terms: PositiveInt = 20_000
    min_term_documents: PositiveInt | None = Field(
        default=None, description="a term in fewer documents is left out; null = 5, below 1,000 documents 2"
    )
    max_term_share: float = Field(default=0.5, gt=0, le=1, description="a term in a larger share is left out")
    fit_documents: PositiveInt = Field(
        default=20_000, description="documents the terms and dimensions are learned from"
    )


def default_dimensions(documents: int, terms: int) -> int:
    """Return the dimensions of the embedding: half of what there is to tell apart, at most 64.

    >>> default_dimensions(30, 400), default_dimensions(5_000, 20_000)
    (15, 64)
    """
    return min(64, max(1, min(documents, terms) // 2))


def default_min_term_documents(documents: int) -> int:
    """Return in how many documents a term has to stand: a word of one document alone says nothing about another.

    >>> default_min_term_documents(30), default_min_term_documents(5_000)
    (2, 5)
    """
    return 5 if documents >= 1_000 else 2


@dataclass(frozen=True)
class TfidfModel:
    """What `fit` learned: terms (V), inverse document frequencies (V), and the directions of the SVD (D, V)."""

    terms: tuple[str, ...]
    idf_V: Floats
    components_DV: Floats


def fit(texts: Sequence[str], config: TfidfEmbedder, seed: int) -> TfidfModel:
    """Learn terms and directions from texts.

    Raises:
        ConfigError: there are too few documents or terms for the dimensions asked for; says how many.
    """
    from sklearn.decomposition import TruncatedSVD

    min_df = config.min_term_documents or default_min_term_documents(len(texts))
    vectorizer = _vectorizer(min_df=min_df, max_df=config.max_term_share, max_features=config.max_terms)
    try:
        weights_NV = vectorizer.fit_transform(texts)
    except ValueError as error:
        # scikit-learn has no narrower error for "no terms remain".
        raise _too_small(len(texts), 0, min_df, config) from error
    documents, terms_learned = weights_NV.shape
    dimensions = config.dimensions or default_dimensions(documents, terms_learned)
    if not min(documents, terms_learned) > dimensions:
        raise _too_small(documents, terms_learned, min_df, config)
    svd = TruncatedSVD(dimensions, n_iter=5, random_state=seed_of(seed, "tfidf", "svd") % 2**32)
    svd.fit(weights_NV)
    terms = tuple(vectorizer.get_feature_names_out().tolist())
    return TfidfModel(terms, vectorizer.idf_.astype(np.float32), svd.components_.astype(np.float32))


def embedder(model: TfidfModel) -> Callable[[Sequence[str]], Floats]:
    """Return the function from texts to unit vectors, shape [N, D]; a text without any known term gives zeros."""
    vectorizer = _vectorizer(vocabulary=list(model.terms))
    vectorizer.idf_ = model.idf_V
    return partial(_embedded, model, vectorizer)


def _embedded(model: TfidfModel, vectorizer: "TfidfVectorizer", texts: Sequence[str]) -> Floats:
    if not texts:
        return np.zeros((0, model.components_DV.shape[0]), dtype=np.float32)
    vectors_ND = np.asarray(vectorizer.transform(texts) @ model.components_DV.T, dtype=np.float32)
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return (vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)).astype(np.float32)


def save(model: TfidfModel, folder: Path) -> None:
    """Write the model into a folder."""
    (folder / "terms.json").write_text(json.dumps(model.terms, ensure_ascii=False), encoding="utf-8")
    np.save(folder / "idf.npy", model.idf_V)
    np.save(folder / "components.npy", model.components_DV)


def load(folder: Path) -> TfidfModel:
    """Read the model that `save` wrote."""
    terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    return TfidfModel(tuple(terms), np.load(folder / "idf.npy"), np.load(folder / "components.npy"))


def _vectorizer(**options: Any) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=None, tokenizer=_terms, sublinear_tf=True, dtype=np.float32, **options)


def _terms(text: str) -> list[str]:
    return terms(text, _SHORTEST, _SIGNS)


def _too_small(documents: int, terms: int, min_df: int, config: TfidfEmbedder) -> ConfigError:
    dimensions = config.dimensions or 1
    return ConfigError(
        f"embedder tfidf: {documents:,} documents give {terms:,} terms (each in at least {min_df} documents "
        f"and in at most {config.max_term_share:.0%} of them); {dimensions} dimensions need more than {dimensions} of "
        "both. Lower dimensions or min_term_documents, or give more documents."
    )
