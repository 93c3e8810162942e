"""What the forms of the staff pages show of services, texts, people and questions (`portal.web.shown.versions`); bookings' are in
`portal.web.shown.bookings`."""

from __future__ import annotations

import re

from flask import request
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.admin.services import form
from portal.business.fields.base import declared
from portal.business.fields.service import ServiceFields
from portal.business.fields.typed import in_words
from portal.business.models import Business, Service
from portal.errors import NotFound
from portal.language.say import LANGUAGES, known_language
from portal.notifications.own_texts import Place, find_text
from portal.sync.models import Question
from portal.web.shown.versions import At, Shown, shows

_QUESTION = re.compile(r"q-\d+-")


@shows("admin.save_service", page="admin.service")
def shown_service(session: Session, at: At) -> Shown:
    """All fields of its form, the questions and the lists of resources as one each."""
    row = session.scalar(select(Service).where(Service.slug == at["slug"]))
    if row is None:
        raise NotFound("There is no such service.")
    typed = form.shown(row)
    questions = {name: value for name, value in typed.items() if name == "questions" or _QUESTION.match(name)}
    lists = {name: value for name, value in typed.items() if name.startswith("list-")}
    parts = {in_words(kind): typed[name] for name, kind in declared(ServiceFields).items()}
    return Shown(f"service:{row.id}", {**parts, "questions": questions, "resources": lists})


@shows("admin.save_mail_text", "admin.reset_mail_text", page="admin.mail_text")
def shown_text(session: Session, at: At) -> Shown:
    slug, language = at.get("service", ""), at.get("language", "")
    service_id = session.scalar(select(Service.id).where(Service.slug == slug)) if slug else None
    business = session.scalars(select(Business)).one()
    known = language if language in LANGUAGES else known_language(business.language)
    place = Place(kind=at["kind"], language=known, service_id=service_id)
    row = find_text(session, place)
    parts = {"subject": row.subject if row else "", "text": row.body if row else ""}
    done = () if row else ("admin.reset_mail_text",)
    return Shown(f"text:{place.kind}/{place.language}/{service_id}", parts, done=done)


@shows("admin.shut_out", "admin.let_in", page="admin.people")
@shows("admin.change_person", "admin.remove_person", page="admin.person")
def shown_person(session: Session, at: At) -> Shown:
    row = session.get(User, at["user_id"])
    if row is None:
        raise NotFound("There is no such person.")
    done = "admin.let_in" if row.is_enabled else "admin.shut_out"
    return Shown(
        f"user:{row.id}",
        {"role": row.role, "signing in": row.is_enabled, "whose calendar": row.resource_id},
        done=(done,),
    )


@shows("admin.set_retention", page="admin.customers")
def shown_retention(session: Session, at: At) -> Shown:
    kept = session.scalars(select(Business.retention_days)).one()
    return Shown("retention", {"days": kept})


@shows("admin.answer", page="admin.questions")
def shown_question(session: Session, at: At) -> Shown:
    row = session.get(Question, at["question_id"])
    if row is None:
        raise NotFound("There is no such question.")
    is_so = request.method == "POST" and row.answer and row.answer == request.form.get("answer")
    parts = {"answer": row.answered_at is not None, "event": [row.kind, row.start_at, row.end_at]}
    news = {"answer": "This question has been settled meanwhile.", "event": "Its event has been moved on meanwhile."}
    return Shown(f"question:{row.id}", parts, news=news, done=("admin.answer",) if is_so else ())
