"""Answers of the staff to what was done to our events outside; called by the questions page.

Each answer is carried out by the same steps as the calendar's rule would be. What nobody answered ends with its appointment.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, EventLink
from portal.database.engine import read_transaction, transaction
from portal.errors import Invalid, NotAllowedNow, NotFound
from portal.sync import ledger
from portal.sync.models import Question
from portal.sync.outside import conflicts, steps
from portal.sync.outside.steps import Matter

ANSWERS = {"deleted": ("cancel", "put back"), "moved": ("follow", "put back")}


def answer(question_id: int, answer: str, *, user_id: int, now: datetime, over: bool = False) -> None:
    """Carry out the answer, and note who gave it. `over` says that they know of another event where the booking shall follow to.

    deleted: "cancel" (each customer is told) or "put back"; moved: "follow" or "put back". Raises NotFound, Invalid for another word,
    NotAllowedNow when it was answered or settled meanwhile, SlotTaken or OutsideEvent when the new time is taken: the question stays open then.
    """
    kind, matter = read_transaction(lambda session: _open_matter(session, question_id))
    if answer not in ANSWERS[kind]:
        raise Invalid(f"To this question the answers are “{ANSWERS[kind][0]}” and “{ANSWERS[kind][1]}”.")
    if matter is not None:
        _act(matter, answer, over=over, now=now)
    transaction(lambda session: _note(session, question_id, answer, user_id=user_id, now=now))


def end_those_over(session: Session, *, now: datetime) -> int:
    """What was done to the event of an appointment that has taken place needs no answer any more; gives how many questions ended.

    Its event stays as people left it. Clashes with it are over, too.
    """
    over = (EventLink.outside != "", Appointment.end_at <= now)
    for link, version in session.execute(
        select(EventLink, Appointment.version).join(Appointment).where(*over)
    ).tuples():
        link.outside, link.last_error = "", None
        link.wanted_version = link.applied_version = version
        link.state = "done" if link.etag else "none"
    questions = session.scalars(
        select(Question).join(Appointment).where(Question.answered_at.is_(None), Appointment.end_at <= now)
    ).all()
    for question in questions:
        question.answered_at, question.answer = now, "over"
        sentence = "Nobody answered what became of the event; its appointment is over, and it stays as it is."
        ledger.write(
            session, "over", sentence, calendar_id=question.calendar_id, appointment_id=question.appointment_id
        )
    conflicts.end_those_over(session, now=now)
    return len(questions)


def _open_matter(session: Session, question_id: int) -> tuple[str, Matter | None]:
    question = session.get(Question, question_id)
    if question is None:
        raise NotFound("There is no such question.")
    if question.answered_at is not None:
        raise NotAllowedNow("This question has been settled meanwhile.")
    matter = steps.matter_of(session, question.appointment_id, question.calendar_id)
    return question.kind, matter if matter and matter.concerns_anybody else None


def _act(matter: Matter, answer: str, *, over: bool, now: datetime) -> None:
    acts: dict[str, Callable[[], None]] = {
        "follow": lambda: steps.follow(matter, now=now, over=over),
        "cancel": lambda: steps.cancel(matter, by="staff", now=now),
        "put back": lambda: steps.put_back(matter, now=now),
    }
    acts[answer]()


def _note(session: Session, question_id: int, answer: str, *, user_id: int, now: datetime) -> None:
    question = session.get(Question, question_id)
    if question is not None:
        question.answered_at = question.answered_at or now
        question.answer, question.answered_by = answer, user_id
