"""The params of `curate`: profiles and which source gets which, what else is annotated, refined, set aside, deduplicated."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from tasks.core.params import Params
from tasks.curate.annotators.kinds import NUMBERS, Annotators, Group
from tasks.curate.combined.kinds import Combined
from tasks.curate.decontaminate.benchmarks import Decontaminate
from tasks.curate.dedup.config import Duplicates
from tasks.curate.languages.params import Languages
from tasks.curate.profiles import built_in, names
from tasks.curate.published.documents import KEPT_SCHEMA
from tasks.curate.refine.config import Refine
from tasks.curate.rewriting.kinds import Rewriting
from tasks.curate.rules.profile import Profile, laid_over, seen_by
from tasks.curate.rules.table import RULES
from tasks.curate.scorers.kinds import Scorer, columns_of
from tasks.curate.selection.kinds import named

# Sources that are not named here are judged by the default profile.
PROFILE_OF_SOURCE = {
    "code": "code",
    "tests": "code",
    "headers": "code",
    "data": "code",
    "math": "math",
    "legal": "legal",
    "web": "web",
    "multilingual": "any_language",
}

# What columns of kept documents are called already.
_TAKEN = {*KEPT_SCHEMA.names, *(rule.statistic for rule in RULES), *NUMBERS}
# Numbers that every document has.
_SIZES = ("bytes", "pretokens")
_BEHIND_REWRITING = tuple(rule.statistic for rule in RULES if rule.group == "rewriting")


class CurateParams(Params):
    """What is kept. Texts are refined, annotated, decontaminated; only what passes is looked at for duplicates.

    `profile` judges every source; None: each source is judged by that of `profile_of_source`, or by `default_profile`.
    `profiles` are laid over those that come with Mixwright: `prose: {rules: {min_words: 30}}` changes one threshold of
    `prose`; a new name makes a new profile, whose unnamed rules are off.
    `scorers` give every document numbers, `combined` makes one of several; by any a profile may `select`.
    `languages`: documents of some profiles are judged by thresholds of their language.
    `annotate` names groups of statistics to take beyond those that the profiles look at.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    profile: str | None = None
    profiles: dict[str, Profile] = Field(default_factory=dict)
    profile_of_source: dict[str, str] = Field(default=dict(PROFILE_OF_SOURCE))
    default_profile: str = "prose"
    annotate: tuple[Group, ...] = ()
    annotators: Annotators = Annotators()
    scorers: tuple[Scorer, ...] = ()
    combined: tuple[Combined, ...] = ()
    languages: Languages | None = None
    refine: Refine | None = None
    decontaminate: Decontaminate | None = None
    duplicates: Duplicates | None = Duplicates()

    @field_validator("profiles", mode="before")
    @classmethod
    def _over_the_built_in(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = names()
        return {
            name: laid_over(built_in(name).model_dump() if name in known else {}, values)
            for name, values in given.items()
        }

    @field_validator("profile_of_source", mode="before")
    @classmethod
    def _over_the_known_sources(cls, given: Any) -> Any:
        return {**PROFILE_OF_SOURCE, **given} if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        known = sorted({*names(), *self.profiles})
        judges = {f"profile_of_source.{source}": name for source, name in self.profile_of_source.items()}
        for place, name in {**judges, "default_profile": self.default_profile, "profile": self.profile}.items():
            if name is not None and name not in known:
                raise ValueError(f"{place} is {name!r}, which is no profile. Known: {', '.join(known)}.")
        if "tokens" in self.annotated and self.annotators.tokens is None:
            raise ValueError(
                "annotate or combined names tokens, but annotators.tokens names no tokenizer to count them with."
            )
        for name in () if self.languages is None else self.languages.profiles:
            if name not in known:
                raise ValueError(f"languages.profiles names {name!r}, which is no profile. Known: {', '.join(known)}.")
            if self.profile_called(name).rules.get("min_language_score") is None:
                raise ValueError(
                    f"languages.profiles: {name} asks for no language. Give it the rule min_language_score."
                )
        self._require_columns()
        return self

    def _require_columns(self) -> None:
        """Raise ValueError where scores share a column or take a known one, or something asks for one there is not."""
        scored = [name for scorer in self.scorers for name in columns_of(scorer)]
        for one in self.combined:
            if unknown := [name for name in one.weights if name not in {*scored, *NUMBERS, *_SIZES}]:
                raise ValueError(f"combined.{one.name}: there is no score {unknown[0]!r}. {_given(scored)}")
        columns = [*scored, *(one.name for one in self.combined)]
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise ValueError(f"scorers: {len(twice)} column(s) come from two scorers, such as {twice[0]}. Rename one.")
        if taken := sorted({*columns} & _TAKEN):
            raise ValueError(f"scorers: a column is already called {taken[0]}. Give the scorer another name.")
        for name, profile in self.profiles.items():
            asked = [column for one in profile.select for column in named(one)]
            if strangers := [column for column in asked if column not in {*columns, *_numbers_for(profile)}]:
                raise ValueError(
                    f"profiles.{name}.select: there is no score {strangers[0]!r}. {_given(columns)} Statistics can be named "
                    "too, such as words, language_score or pii_emails (docs/selection.md)."
                )
            if "tokens" in asked and self.annotators.tokens is None:
                raise ValueError(
                    f"profiles.{name}.select names tokens, but annotators.tokens names no tokenizer to count them with."
                )

    @property
    def annotated(self) -> tuple[Group, ...]:
        """The groups of statistics that are taken of every source: those of `annotate`, and what is combined."""
        combined = sorted({NUMBERS[name] for one in self.combined for name in one.weights if name in NUMBERS})
        return tuple(dict.fromkeys((*self.annotate, *combined)))

    def profile_name(self, source: str) -> str:
        """Return the name of the profile that judges a source."""
        return self.profile or self.profile_of_source.get(source, self.default_profile)

    def profile_called(self, name: str) -> Profile:
        """Return a profile: the params' own, or one that comes with Mixwright."""
        return self.profiles.get(name) or built_in(name)

    def profiles_of(self, sources: "set[str]") -> dict[str, Profile]:
        """Return the profiles that judge these sources, by name."""
        return {name: self.profile_called(name) for name in sorted({self.profile_name(source) for source in sources})}

    def groups_of(self, profile: Profile) -> frozenset[str]:
        """Return the groups of statistics that a profile's rules look at, or that it selects by."""
        asked = (column for one in profile.select for column in named(one))
        return profile.groups | {NUMBERS[column] for column in asked if column in NUMBERS}

    def statistics_selected_by(self, profiles: Iterable[Profile]) -> tuple[str, ...]:
        """Return the statistics that profiles select by, as others select by scores."""
        asked = {column for profile in profiles for one in profile.select for column in named(one)}
        return tuple(sorted(asked & {*NUMBERS, *_SIZES, *_BEHIND_REWRITING}))

    def rewriting_of(self, source: str) -> Rewriting | None:
        """Return how the lines of a source are rewritten."""
        return self.profile_called(self.profile_name(source)).rewriting


def _given(columns: Sequence[str]) -> str:
    return f"Scorers give: {', '.join(columns)}." if columns else "No scorer is named (curate.scorers)."


def _numbers_for(profile: Profile) -> tuple[str, ...]:
    """Return the statistics that a profile may select by: all but those behind a rewriting that it does not do."""
    behind = () if profile.rewriting is None else seen_by(profile)
    return (*NUMBERS, *_SIZES, *(name for name in _BEHIND_REWRITING if name.startswith(behind)))
