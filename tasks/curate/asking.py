"""Questions of scorers to an endpoint: written by a unit, asked by the driver, and answered by a file that units read."""

from dataclasses import replace

from tasks.core.asking import read_requests
from tasks.core.handles import Handle
from tasks.curate.scorers.rated import ANSWERS
from tasks.curate.scorers.unit import QUESTIONS_FILE, ChosenScorer, QuestionsArgs, write_questions
from tasks.runtime.asking import answers_file
from tasks.runtime.context import Workshop
from tasks.runtime.step import Step

QUESTIONS = Step("curate.questions", "curate: questions", write_questions)


def with_answers(workshop: Workshop, scorer: ChosenScorer, looks: tuple[Handle, ...]) -> ChosenScorer:
    """Return a scorer with the answers of its endpoint among its files; the same one where it has no endpoint.

    Raises:
        BudgetError, EndpointError: not all of it was answered; what was is kept.
    """
    if scorer.endpoint is None:
        return scorer
    questions = QUESTIONS.one(workshop, QuestionsArgs(scorer.config, looks)).file(QUESTIONS_FILE)
    label = f"curate: questions of {scorer.config.name}"
    answers = answers_file(workshop, scorer.endpoint, read_requests(questions.local()), label)
    return replace(scorer, files={**scorer.files, ANSWERS: answers})
