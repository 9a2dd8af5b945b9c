"""What a language model is asked to find topics and to label documents, and how its answers are read. The words are ours."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.core.asking import Request

OTHER = "other"
SUMMARY, TAXONOMY, LABEL = "summary", "taxonomy", "label"
_SUMMARY_TOKENS, _TAXONOMY_TOKENS, _LABEL_TOKENS = 80, 4_000, 8
# The longest of the paper's are 10 and 30 words.
_LONGEST_NAME, _LONGEST_DESCRIPTION = 80, 300
_NUMBER = re.compile(r"\d+")
_SYSTEM = "You find the topics of a collection of texts. Reply with what is asked for and nothing else."
_SUMMARISE = "Say in about 20 words what this text is and is about.\n\nText:\n<<<\n{text}\n>>>"
_FORM = (
    'Reply with a JSON list of at most {most} objects {{"name": at most 10 words, "description": at most 30 words}}.'
)
_FIND = "Here are summaries of texts. Group them into topics that are clear, do not overlap and cover them. {form}\n\n{some}"
_CHANGE = (
    "Here are topics, and summaries of further texts. Judge whether the topics cover these, and improve them where they do "
    "not: split, join, rename, add. {form}\n\nTopics:\n{topics}\n\n{some}"
)
_REVIEW = (
    "Here are topics, and summaries of some texts. Review the topics a last time: names that say what is meant, no two for "
    "the same. {form}\n\nTopics:\n{topics}\n\n{some}"
)
_CHOOSE = (
    "Which of these topics is the text about? Reply with its number alone.\n\n{topics}\n0. {other}\n\n"
    "Text:\n<<<\n{text}\n>>>"
)


@dataclass(frozen=True)
class Topic:
    """A class of the taxonomy."""

    name: str
    description: str


def summarise(name: str, text: str) -> Request:
    """Return what is asked of a document of the sample first."""
    return Request(_SYSTEM, _SUMMARISE.format(text=text), _SUMMARY_TOKENS, {"step": SUMMARY, "id": name})


def find(summaries: Sequence[str], topics: Sequence[Topic], most: int, number: int, *, last: bool) -> Request:
    """Return what is asked about a batch of summaries: topics, better ones than these, or a last review."""
    some = "Summaries:\n" + "\n".join(f"- {' '.join(summary.split())}" for summary in summaries)
    form = _FORM.format(most=most)
    asked = _REVIEW if last else _CHANGE if topics else _FIND
    user = asked.format(form=form, topics=listed(topics), some=some)
    return Request(_SYSTEM, user, _TAXONOMY_TOKENS, {"step": TAXONOMY, "batch": number})


def choose(name: str, text: str, topics: Sequence[Topic]) -> Request:
    """Return what is asked to label a document."""
    user = _CHOOSE.format(topics=listed(topics), other=OTHER, text=text)
    return Request(_SYSTEM, user, _LABEL_TOKENS, {"step": LABEL, "id": name})


def listed(topics: Sequence[Topic]) -> str:
    """Return topics with their numbers, from 1 on, one a line."""
    return "\n".join(f"{i}. {one.name}: {one.description}" for i, one in enumerate(topics, start=1))


def read_topics(answer: str, most: int) -> tuple[Topic, ...] | None:
    """Return the topics that stand in an answer, the first `most`; None where it holds no list of two or more.

    >>> read_topics('Here: [{"name": "Law", "description": "acts"}, {"name": "law"}, {"name": "Code"}]', 9)
    (Topic(name='Law', description='acts'), Topic(name='Code', description=''))
    """
    start, end = answer.find("["), answer.rfind("]")
    try:
        value = json.loads(answer[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    found: dict[str, Topic] = {}
    for one in value if isinstance(value, list) else ():
        topic = _topic(one) if isinstance(one, Mapping) else None
        if topic is not None and topic.name.casefold() != OTHER:
            found.setdefault(topic.name.casefold(), topic)
    return tuple(found.values())[:most] if len(found) > 1 else None


def read_label(answer: str, count: int) -> int | None:
    """Return the number of the topic that was chosen, from 0 on, `count` for none of them; None: it cannot be read.

    >>> read_label("2", 3), read_label("Topic 0.", 3), read_label("7", 3), read_label("law", 3)
    (1, 3, None, None)
    """
    number = _NUMBER.search(answer)
    chosen = int(number[0]) if number is not None and len(number[0]) < 5 else -1
    return None if not 0 <= chosen <= count else (chosen - 1) % (count + 1)


def _topic(value: Mapping[str, object]) -> Topic | None:
    name, description = value.get("name"), value.get("description")
    if not isinstance(name, str) or not name.strip():
        return None
    told = " ".join(description.split()) if isinstance(description, str) else ""
    return Topic(" ".join(name.split())[:_LONGEST_NAME], told[:_LONGEST_DESCRIPTION])
