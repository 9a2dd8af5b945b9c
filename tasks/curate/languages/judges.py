"""Who judges whom: the profile of a source, and where thresholds were learned, that profile with those of a language."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.core.params import validate
from tasks.curate.config import CurateParams
from tasks.curate.judge import Judges
from tasks.curate.published.languages import LearnedLanguages
from tasks.curate.rules.profile import Profile, deciding, laid_over

LEAST_CONFIDENCE = "min_language_score"


@dataclass(frozen=True)
class InUse:
    """The profiles in use by name; which judges the documents of a source, and of that source in a language."""

    profiles: Mapping[str, Profile]
    of_source: Mapping[str, str]
    of_language: Mapping[str, Mapping[str, str]]

    @property
    def judges(self) -> Judges:
        """What decides, without how texts are read and rewritten."""
        profiles = {name: deciding(profile) for name, profile in self.profiles.items()}
        return Judges(profiles, self.of_source, self.of_language or None)

    def name_of(self, source: str, language: str | None) -> str:
        """Return the name of the profile that judges a document."""
        base = self.of_source[source]
        return self.of_language.get(base, {}).get(language or "", base)


def in_use(params: CurateParams, sources: Iterable[str], learned: LearnedLanguages | None) -> InUse:
    """Return the profiles that judge documents of these sources.

    Raises:
        ConfigError: thresholds that were learned of a language do not fit together.
    """
    of_source = {source: params.profile_name(source) for source in sources}
    profiles = {name: params.profile_called(name) for name in sorted({*of_source.values()})}
    of_language: dict[str, dict[str, str]] = {}
    for base in sorted({*profiles} & {*(learned.profiles if learned else ())}):
        assert learned is not None
        for language, told in learned.languages.items():
            name = f"{base} in {language}"
            values = laid_over(profiles[base].model_dump(), {"rules": dict(told.thresholds)})
            profiles[name] = validate(Profile, values, f"languages.references.{language}")
            of_language.setdefault(base, {})[language] = name
    return InUse(profiles, of_source, of_language)
