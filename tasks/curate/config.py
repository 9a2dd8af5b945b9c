"""The params of `curate`: profiles of thresholds, which source gets which, and how duplicates are found."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from tasks.core.params import Params
from tasks.curate.profiles import PROFILE_OF_SOURCE, PROFILES
from tasks.curate.rules.profile import Profile


class NearDuplicates(Params):
    """MinHash with banding: two texts are compared when all rows of at least one band agree.

    With b bands of r rows, texts of Jaccard similarity s meet with probability 1 - (1 - s^r)^b (Leskovec et al.,
    Mining of Massive Datasets, chapter 3): 0.92 at 0.8 for 14 x 8. `min_jaccard` is then asked of the similarity that
    all b r rows estimate (standard error below 0.05 for 112 of them); None takes every pair that meets.
    """

    bands: Annotated[int, Field(ge=1, le=256)] = 14
    rows: Annotated[int, Field(ge=1, le=64)] = 8
    ngram_words: Annotated[int, Field(ge=1, le=64)] = 5
    min_jaccard: Annotated[float, Field(ge=0, le=1)] | None = 0.7


class CurateParams(Params):
    """What is kept. Only documents that pass the rules are looked at for duplicates; the best of each cluster stays.

    `profiles` and `profile_of_source` are laid over those that come with Mixwright: `prose: {min_words: 30}` changes
    one threshold of `prose`; a new name makes a new profile, whose unnamed rules are off.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    profiles: dict[str, Profile] = Field(default=dict(PROFILES))
    profile_of_source: dict[str, str] = Field(default=dict(PROFILE_OF_SOURCE))
    default_profile: str = "prose"
    drop_exact_duplicates: bool = True
    near_duplicates: NearDuplicates | None = NearDuplicates()

    @field_validator("profiles", mode="before")
    @classmethod
    def _over_the_built_in(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        built_in = {name: profile.model_dump() for name, profile in PROFILES.items()}
        changed = {name: _laid_over(built_in.get(name, {}), values) for name, values in given.items()}
        return {**built_in, **changed}

    @field_validator("profile_of_source", mode="before")
    @classmethod
    def _over_the_known_sources(cls, given: Any) -> Any:
        return {**PROFILE_OF_SOURCE, **given} if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _every_profile_exists(self) -> Self:
        wanted = {f"profile_of_source.{source}": name for source, name in self.profile_of_source.items()}
        for place, name in {**wanted, "default_profile": self.default_profile}.items():
            if name not in self.profiles:
                raise ValueError(
                    f"{place} is {name!r}, which is no profile. Known: {', '.join(sorted(self.profiles))}."
                )
        return self

    def profile_name(self, source: str) -> str:
        """Return the name of the profile that judges a source."""
        return self.profile_of_source.get(source, self.default_profile)


def _laid_over(below: Mapping[str, Any], above: Any) -> Any:
    return {**below, **above} if isinstance(above, Mapping) else above
