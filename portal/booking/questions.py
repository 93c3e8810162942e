"""A service's questions to its customers: what an answer must be like, and how answers are shown. Pure; for web form, API, waitlist and mails.

An answer is kept in `booking.answers` under the question's name, as a text, a number (kind "number") or a truth value ("checkbox").
What was not answered is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from portal.booking.rules import tidy
from portal.errors import Invalid
from portal.language.names import can_be_seen
from portal.language.say import say

FIELD = "answer-"
"""Fields of the form, and of errors, are called so, followed by the question's name."""
LONGEST = {"text": 300, "long": 2000}
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:[.,]\d{1,6})?")
_YES, _NO = ("1", "on", "yes", "true"), ("", "0", "off", "no", "false")


class Question(Protocol):
    """What is asked: `portal.business.models.ServiceQuestion`, or anything of that shape."""

    name: Any
    label: Any
    kind: Any
    is_required: Any
    choices: Any


class Asking(Protocol):
    """Whatever has questions: a service."""

    questions: Any


class _Wrong(Exception):
    """An answer does not fit; the sentence says why."""


def check_answers(questions: Iterable[Question], answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers as they are kept, in the order of the questions. Raises Invalid with a sentence per field ("answer-<name>"), also for
    answers to questions that are not asked."""
    asked = {question.name: question for question in questions}
    kept: dict[str, Any] = {}
    fields = {FIELD + str(name)[:50]: say("This is not asked here.") for name in answers if name not in asked}
    for name, question in asked.items():
        try:
            answer = _read(question, answers.get(name))
        except _Wrong as wrong:
            fields[FIELD + name] = str(wrong)
            continue
        if answer is not None:
            kept[name] = answer
    if fields:
        raise Invalid(say("Something is missing or does not fit yet."), fields=fields)
    return kept


def typed_answers(sent: Mapping[str, str]) -> dict[str, str]:
    """The answers of a form that was sent, by name of their question, as typed."""
    return {name.removeprefix(FIELD): value for name, value in sent.items() if name.startswith(FIELD)}


def answer_lines(service: Asking, answers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of what was answered, in the order of the questions, in the present language.

    Answers to questions that have been taken away since follow under their names.
    """
    labels = {question.name: question.label for question in service.questions}
    names = [name for name in labels if name in answers] + [name for name in answers if name not in labels]
    return [(labels.get(name, name), _shown(answers[name])) for name in names]


def _read(question: Question, value: Any) -> Any:
    """The answer as it is kept; None for none."""
    if question.kind == "checkbox":
        return _checkbox(question, value)
    if isinstance(value, str):
        value = tidy(value, multiline=question.kind == "long")
    if value is None or (isinstance(value, str) and not can_be_seen(value)):
        if question.is_required:
            raise _Wrong(say("Please answer this: it is needed."))
        return None
    if question.kind == "number":
        return _number(value)
    if not isinstance(value, str):
        raise _Wrong(say("Please answer with a text."))
    if question.kind == "choice":
        return _choice(question.choices, value)
    if len(value) > LONGEST[question.kind]:
        raise _Wrong(say("Please use at most %(number)s characters.", number=LONGEST[question.kind]))
    return value


def _checkbox(question: Question, value: Any) -> bool | None:
    """Only a yes counts as an answer where one is needed."""
    text = "" if value is None else str(value).strip().lower()
    if text not in _YES + _NO:
        raise _Wrong(say("Please answer with yes or no."))
    if question.is_required and text not in _YES:
        raise _Wrong(say("Please tick this: it is needed."))
    return None if value is None else text in _YES


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _Wrong(say("Please answer with a number."))
    text = str(value)
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise _Wrong(say("Please answer with a number."))
    number = float(text.replace(",", "."))
    return int(number) if number == int(number) else number


def _choice(choices: Sequence[Any], value: str) -> str:
    if value not in choices:
        raise _Wrong(say("Please choose one of these: %(choices)s.", choices=", ".join(map(str, choices))))
    return value


def _shown(answer: Any) -> str:
    if isinstance(answer, bool):
        return say("Yes") if answer else say("No")
    return str(answer)
