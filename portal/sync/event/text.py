"""What the event of an appointment says in a calendar, by that calendar's privacy setting. Pure; `desired` makes drafts of it.

=========  =====================================  =======================================================  ==================
privacy    title                                  text                                                     place
=========  =====================================  =======================================================  ==================
busy only  "Busy"                                 the portal's address                                     none
initials   "Consultation · E. R.", "Yoga · 8/12"  initials and party sizes, the video link, that address   the service's
full       "Consultation · Eva Ruiz", the same    names, how to reach them, notes, answers, as above       the service's
=========  =====================================  =======================================================  ==================

All words are in the language of the business. Customers stand in the text, never as attendees: a server must not mail them a second time.
Where Google is asked to make the link of a video call, it stands at that very event in every setting, since Google puts it there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from portal.language.say import say, say_n

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_PHONE = re.compile(r"\+?[\d ()./-]{5,39}")
_PARTY = re.compile(r" \((\d{1,3}) [^()]+\)$")
STRICTNESS = ("busy only", "initials", "full")
"""The settings, the strictest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One customer of the appointment. `answers` are the questions of the booking form with what was answered."""

    name: str
    email: str
    phone: str = ""
    note: str = ""
    party_size: int = 1
    answers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """All that the text of the event may tell. `wants_meeting` asks this calendar for a link; `meeting_url` is one that another calendar has made."""

    instance_id: str
    appointment_id: int
    service: str
    location: str
    zone: str
    portal_url: str
    guests: tuple[Guest, ...]
    privacy: str
    language: str = "en"
    capacity: int = 1
    wants_meeting: bool = False
    meeting_url: str = ""


def strictest(settings: Iterable[str]) -> str:
    """Of several settings the one that tells the least; what is not known tells nothing."""
    return min(settings, key=lambda one: STRICTNESS.index(one) if one in STRICTNESS else -1)


def title(subject: Subject) -> str:
    """The event's title: what and who, or what and how many of how many, or only that the time is taken."""
    if subject.privacy not in ("initials", "full"):
        return say("Busy")
    if subject.capacity == 1 and subject.guests:
        guest = subject.guests[0]
        who = guest.name if subject.privacy == "full" else initials(guest.name)
        return f"{subject.service} · {who}" if who else subject.service
    taken = sum(guest.party_size for guest in subject.guests)
    return say(
        "%(service)s · %(taken)s of %(capacity)s", service=subject.service, taken=taken, capacity=subject.capacity
    )


def description(subject: Subject) -> str:
    """The event's text: the guests as far as they may be told, the video call, and where to change things."""
    blocks: list[str] = []
    if subject.privacy in ("initials", "full"):
        blocks += _all_of(subject.guests) if subject.privacy == "full" else _hints_of(subject.guests)
        if subject.meeting_url:
            blocks.append(say("Video call: %(url)s", url=subject.meeting_url))
    blocks.append(say("Manage in the portal: %(url)s", url=subject.portal_url))
    return "\n\n".join(blocks)


def guests_told(text: str) -> list[Guest]:
    """The guests that a `description` names with an e-mail address, in whatever language it was written. Notes and answers are left out."""
    blocks = [block.split("\n") for block in text.replace("\r", "").split("\n\n")]
    return [_told(lines) for lines in blocks if len(lines) > 1 and _ADDRESS.fullmatch(lines[1].strip())]


def place(subject: Subject) -> str:
    """Where it takes place; nothing when the calendar is to show only that the time is taken."""
    return (subject.location or subject.meeting_url) if subject.privacy in ("initials", "full") else ""


def initials(name: str) -> str:
    """Like “M. G.” of “Mária Gabriela García”: the first letters of the first and the last word, of any script. Empty when there is no letter.

    Never a whole word but the first, where that is one letter long; so "李 雷" is "李.". Letters only: no sign that turns the text around.
    """
    words = [word for part in unicodedata.normalize("NFKC", name).split() if (word := _letters(part))]
    shown = words[:1] + [word for word in words[1:][-1:] if len(word) > 1]
    return " ".join(f"{_capital(word[0])}." for word in shown)


def _told(lines: list[str]) -> Guest:
    party = _PARTY.search(lines[0])
    name = lines[0][: party.start()] if party else lines[0]
    phone = lines[2].strip() if len(lines) > 2 and _PHONE.fullmatch(lines[2].strip()) else ""
    return Guest(name=name.strip(), email=lines[1].strip(), phone=phone, party_size=int(party[1]) if party else 1)


def _letters(word: str) -> str:
    return "".join(sign for sign in word if unicodedata.category(sign).startswith("L"))


def _capital(letter: str) -> str:
    capital = letter.upper()
    return capital if len(capital) == 1 else letter  # "ß" would become two


def _all_of(guests: Iterable[Guest]) -> list[str]:
    return [_everything(guest) for guest in guests]


def _everything(guest: Guest) -> str:
    party = f" ({_people(guest.party_size)})" if guest.party_size > 1 else ""
    who = (
        f"{guest.name}{party}" if guest.name else _people(guest.party_size)
    )  # an erased customer was there all the same
    lines = [who, guest.email, guest.phone, guest.note]
    lines += [f"{question}: {answer}" for question, answer in guest.answers]
    return "\n".join(line for line in lines if line)


def _hints_of(guests: Iterable[Guest]) -> list[str]:
    """One block with a line for each: initials, and how many come."""
    lines = [_hint(guest) for guest in guests]
    return ["\n".join(lines)] if lines else []


def _hint(guest: Guest) -> str:
    who, people = initials(guest.name), _people(guest.party_size)
    if not who:
        return people
    return f"{who} ({people})" if guest.party_size > 1 else who


def _people(number: int) -> str:
    return say_n("%(number)s person", "%(number)s people", number)
