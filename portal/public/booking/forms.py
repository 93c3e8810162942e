"""The customer's form: what it carries, and the two traps for programs. Pure; the rules about its content are in
`portal.booking.rules.check_customer`.

How fast a form is filled in says nothing: a browser that knows its owner does it at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol, Self

from itsdangerous import BadSignature, TimestampSigner

from portal.booking.questions import Question, typed_answers
from portal.booking.rules import Customer
from portal.language.say import say

_SALT = "booking form"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingForm:
    """Everything as it was sent. `key` is the idempotency key and, being signed, says that the form was made here."""

    hold: str = ""
    held_at: str = ""
    """The time that the form was made for ..."""
    start_at: str = ""
    """... and the one that is wanted now, when that was lost."""
    resource: str = ""
    people: str = ""
    key: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    note: str = ""
    website: str = ""
    """The honeypot: people never see it."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """To the service's questions, by their names."""

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> Self:
        texts = {each.name: sent.get(each.name, "") for each in fields(cls) if each.name != "answers"}
        return cls(**texts, answers=typed_answers(sent))

    @property
    def is_typed(self) -> bool:
        """True when there is something that must not get lost."""
        return any(value.strip() for value in (self.name, self.email, self.phone, self.note, *self.answers.values()))

    def answers_to(self, questions: Iterable[Question]) -> dict[str, str]:
        """What was answered to these questions; one that was taken away since the form was made is nobody's concern."""
        return {each.name: self.answers[each.name] for each in questions if each.name in self.answers}

    def customer(self, *, zone: str, language: str) -> Customer:
        return Customer(
            name=self.name, email=self.email, phone=self.phone, zone=zone, language=language, note=self.note
        )


class Signed(Protocol):
    """A form with the two traps: any that is made with `new_key` and has the honeypot."""

    @property
    def key(self) -> str: ...

    @property
    def website(self) -> str: ...


def new_key(secret: str) -> str:
    """An idempotency key, signed."""
    return _signer(secret).sign(secrets.token_urlsafe(16)).decode()


def why_doubtful(form: Signed, *, secret: str) -> str:
    """A polite sentence when the form looks as if a program had sent it; empty when all is well."""
    if form.website:
        return say(
            "Your browser has filled in a field that must stay empty. It is empty again: please send the form once more."
        )
    try:
        _signer(secret).unsign(form.key)
    except (BadSignature, UnicodeError):
        return say("This form was not complete when it reached us. Please look it over and send it again.")
    return ""


def _signer(secret: str) -> TimestampSigner:
    return TimestampSigner(secret, salt=_SALT)
