"""Answers of the staff to what was done to our events outside; called by the questions page.

Each answer is carried out by the same steps as the calendar's rule would be.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from portal.db import read_transaction, transaction
from portal.errors import Invalid, NotAllowedNow, NotFound
from portal.sync import settlements
from portal.sync.models import Question
from portal.sync.settlements import Matter

ANSWERS = {"deleted": ("cancel", "put back"), "moved": ("follow", "put back")}


def answer(question_id: int, answer: str, *, user_id: int, now: datetime) -> None:
    """Carry out the answer, and note who gave it.

    deleted: "cancel" (each customer is told) or "put back"; moved: "follow" or "put back". Raises NotFound, Invalid for another word,
    NotAllowedNow when it was answered or settled meanwhile, SlotTaken when the new time is taken: the question stays open then.
    """
    kind, matter = read_transaction(lambda session: _open_matter(session, question_id))
    if answer not in ANSWERS[kind]:
        raise Invalid(f"To this question the answers are “{ANSWERS[kind][0]}” and “{ANSWERS[kind][1]}”.")
    if matter is not None:
        _act(matter, answer, now=now)
    transaction(lambda session: _note(session, question_id, answer, user_id=user_id, now=now))


def _open_matter(session: Session, question_id: int) -> tuple[str, Matter | None]:
    question = session.get(Question, question_id)
    if question is None:
        raise NotFound("There is no such question.")
    if question.answered_at is not None:
        raise NotAllowedNow("This question has been settled meanwhile.")
    matter = settlements.matter_of(session, question.appointment_id, question.calendar_id)
    return question.kind, matter if matter and matter.concerns_anybody else None


def _act(matter: Matter, answer: str, *, now: datetime) -> None:
    acts: dict[str, Callable[[], None]] = {
        "follow": lambda: settlements.follow(matter, now=now),
        "cancel": lambda: settlements.cancel(matter, by="staff", now=now),
        "put back": lambda: settlements.put_back(matter, now=now),
    }
    acts[answer]()


def _note(session: Session, question_id: int, answer: str, *, user_id: int, now: datetime) -> None:
    question = session.get(Question, question_id)
    if question is not None:
        question.answered_at = question.answered_at or now
        question.answer, question.answered_by = answer, user_id
