"""The form of a service as staff send it: what it shows at first, and what is meant by what was typed. Called by
`portal.admin.services.routes`.

`typed` holds all fields by name as texts, checkboxes as "1" or missing, resources as lists of ids. Questions are rows: `q-<number>-label` and
so on; the rows at the end are empty ones for new questions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from portal.business.checks import check_service_slug
from portal.business.models import ASSIGNMENTS, LOCATION_KINDS, MEETINGS, QUESTION_KINDS, TIMINGS, Service
from portal.business.services import WantedQuestion, WantedService
from portal.errors import Invalid
from portal.language.lengths import length_text, lengths_text, read_length, read_lengths
from portal.language.names import can_be_seen, read_name

Typed = Mapping[str, Any]

NEW_QUESTIONS = 2
MOST_QUESTIONS = 30
MOST_REMINDERS = 5
A_MONTH = 30 * 1440
_TEXTS = (("name", 200), ("description", 2000), ("location", 300), ("price", 100))
_NUMBERS = (
    ("duration", 5, A_MONTH, 5), ("step", 5, A_MONTH, 5), ("buffer_before", 0, A_MONTH, 5), ("buffer_after", 0, A_MONTH, 5),
    ("horizon", 1, 730, 1), ("capacity", 1, 500, 1),
)  # fmt: skip
_LIMITS = ("per_day", "per_week", "per_customer")
_LENGTHS = (("notice", 0), ("cancel_until", 0), ("move_until", 0), ("offer_minutes", 5))
FLAGS = ("is_active", "is_hidden", "needs_approval", "confirm_by_mail", "has_waitlist")
_CHOICES = (
    ("timing", TIMINGS), ("location_kind", LOCATION_KINDS), ("meeting", ("", *MEETINGS)), ("assignment", ASSIGNMENTS),
)  # fmt: skip


def shown(service: Service) -> dict[str, Any]:
    """The form of a service as it stands."""
    typed: dict[str, Any] = {name: getattr(service, name) for name, _ in (*_TEXTS, *_CHOICES)}
    typed |= {name: str(getattr(service, name)) for name, *_ in _NUMBERS}
    typed |= {name: str(getattr(service, name) or "") for name in _LIMITS}
    typed |= {name: length_text(getattr(service, name)) for name, _ in _LENGTHS}
    typed |= {name: "1" for name in FLAGS if getattr(service, name)}
    typed |= {"slug": service.slug, "reminders": lengths_text(service.reminders)}
    for need in service.needs:
        typed.setdefault(f"list-{need.list_no}", []).append(str(need.resource_id))
    for number, question in enumerate(service.questions):
        row = {"name": question.name, "label": question.label, "kind": question.kind, "order": str(number + 1)}
        row |= {"required": "1"} if question.is_required else {}
        typed |= {f"q-{number}-{part}": text for part, text in row.items()}
        typed[f"q-{number}-choices"] = "\n".join(map(str, question.choices))
    typed["questions"] = str(len(service.questions))
    return typed


def empty() -> dict[str, Any]:
    """The form of a new service, with what most of them want."""
    service = Service(
        slug="", name="", description="", location="", meeting="", duration=30, step=30, buffer_before=0, buffer_after=0, notice=60,
        horizon=60, capacity=1, assignment="choose", cancel_until=0, move_until=0, timing="slots", price="", location_kind="",
        reminders=[1440], offer_minutes=240, needs_approval=False, confirm_by_mail=False, is_hidden=False, has_waitlist=False, is_active=True,
    )  # fmt: skip
    return shown(service)


def rows_shown(typed: Typed) -> range:
    """The numbers of the question rows of a form: those that are filled in, and empty ones for new questions."""
    filled = [number for number in range(MOST_QUESTIONS) if str(typed.get(f"q-{number}-label", "")).strip()]
    count = max(max(filled, default=-1) + 1, _count(typed))
    return range(min(count + NEW_QUESTIONS, MOST_QUESTIONS))


def lists_shown(typed: Typed) -> range:
    """The numbers of the lists of resources of a form: those in use, the main one at least, and an empty one."""
    used = [number for number in range(10) if typed.get(f"list-{number}")]
    return range(max(used, default=0) + 2)


def read(typed: Typed, *, resource_ids: Collection[int], taken_slugs: Collection[str]) -> WantedService:
    """What is meant. Raises Invalid with a sentence for each field that does not fit; the rows of questions are fields of their own."""
    errors: dict[str, str] = {}
    values = _texts(typed, errors) | _numbers(typed, errors) | _lengths(typed, errors) | _choices(typed, errors)
    values |= {name: typed.get(name) == "1" for name in FLAGS}
    values["reminders"] = _reminders(str(typed.get("reminders", "")), errors)
    wanted = WantedService(
        slug=_slug(typed, taken_slugs, errors),
        values=values,
        lists=_lists(typed, resource_ids, errors),
        questions=_questions(typed, errors),
    )
    if errors:
        raise Invalid("Nothing is saved yet: please look at these fields.", fields=errors)
    return wanted


def _texts(typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    found = {}
    for name, longest in _TEXTS:
        found[name] = _clean(typed.get(name), multiline=name == "description")
        if len(found[name]) > longest:
            errors[name] = f"Please use at most {longest} characters."
    try:
        found["name"] = read_name(str(typed.get("name") or ""))
        if not found["name"]:
            errors["name"] = "Please give the service a name."
    except Invalid as error:
        errors["name"] = str(error)
    return found


def _numbers(typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: _number(typed, name, least, most, step, errors) for name, least, most, step in _NUMBERS
    }
    for name in _LIMITS:
        found[name] = _number(typed, name, 1, 1000, 1, errors) if str(typed.get(name, "")).strip() else None
    return found


def _number(typed: Typed, name: str, least: int, most: int, step: int, errors: dict[str, str]) -> int:
    text = str(typed.get(name, "")).strip()
    number = int(text) if re.fullmatch(r"[0-9]{1,7}", text) else -1
    if not least <= number <= most or number % step:
        steps = f", in steps of {step}" if step > 1 else ""
        errors[name] = f"Please give a whole number from {least} to {most}{steps}."
    return number


def _lengths(typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, least in _LENGTHS:
        minutes = read_length(str(typed.get(name, "")))
        if minutes is None or not least <= minutes <= A_MONTH:
            errors[name] = f"Please give a time such as 2 hours or 1 day, from {length_text(least)} to 30 days."
        found[name] = minutes or 0
    return found


def _reminders(text: str, errors: dict[str, str]) -> list[int]:
    lengths = read_lengths(text)
    if lengths is None or any(not 5 <= minutes <= A_MONTH for minutes in lengths):
        errors["reminders"] = "Please give times such as 1 day, 2 hours; each from 5 minutes to 30 days."
        return []
    if len(lengths) > MOST_REMINDERS:
        errors["reminders"] = f"Please remind people at most {MOST_REMINDERS} times."
    return lengths


def _choices(typed: Typed, errors: dict[str, str]) -> dict[str, Any]:
    found = {}
    for name, choices in _CHOICES:
        found[name] = str(typed.get(name, ""))
        if found[name] not in choices:
            errors[name] = "Please choose one of these."
    return found


def _slug(typed: Typed, taken: Collection[str], errors: dict[str, str]) -> str:
    slug = str(typed.get("slug", "")).strip() or address_of(str(typed.get("name", "")))
    wrong = check_service_slug(slug) if slug else "cannot be made of this name: please write one"
    if wrong:
        errors["slug"] = f"The address {wrong}."
    elif len(slug) > 64:
        errors["slug"] = "Please use at most 64 characters."
    elif slug in taken:
        errors["slug"] = "Another service has this address already."
    return slug


def address_of(name: str) -> str:
    """ "Yoga für Anfänger" -> "yoga-fur-anfanger" """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain))[:64].strip("-")


def _lists(typed: Typed, resource_ids: Collection[int], errors: dict[str, str]) -> tuple[tuple[int, ...], ...]:
    lists = []
    for number in range(10):
        ids = [int(text) for text in typed.get(f"list-{number}", ()) if re.fullmatch(r"[0-9]{1,9}", text)]
        known = tuple(dict.fromkeys(id_ for id_ in ids if id_ in resource_ids))
        if known or number == 0:
            lists.append(known)
    if not lists[0]:
        errors["list-0"] = "Please choose who or what gives this service: at least one."
    return tuple(lists)


def _questions(typed: Typed, errors: dict[str, str]) -> tuple[WantedQuestion, ...]:
    rows: list[tuple[float, WantedQuestion]] = []
    names: set[str] = set()
    for number in rows_shown(typed):
        row = {
            part: typed.get(f"q-{number}-{part}", "")
            for part in ("name", "label", "kind", "required", "choices", "order", "remove")
        }
        if row["remove"] == "1" or not any(str(row[part]).strip() for part in ("label", "choices", "name")):
            continue
        question = _question(number, row, names, errors)
        names.add(question.name)
        order = str(row["order"]).strip()
        rows.append((float(order) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", order) else 1000.0 + number, question))
    return tuple(question for _, question in sorted(rows, key=lambda pair: pair[0]))


def _question(number: int, row: Mapping[str, Any], names: Collection[str], errors: dict[str, str]) -> WantedQuestion:
    label = _clean(row["label"])
    choices = tuple(dict.fromkeys(filter(None, (_clean(line) for line in str(row["choices"]).splitlines()))))
    kind = str(row["kind"] or "text")
    if not 1 <= len(label) <= 300:
        errors[f"q-{number}-label"] = "Please write the question, in at most 300 characters."
    if kind not in QUESTION_KINDS:
        errors[f"q-{number}-kind"] = "Please choose one of these."
    if kind == "choice" and not 1 <= len(choices) <= 50:
        errors[f"q-{number}-choices"] = "Please write down what can be chosen, one in a line."
    elif any(len(choice) > 200 for choice in choices):
        errors[f"q-{number}-choices"] = "Please use at most 200 characters in a line."
    return WantedQuestion(
        name=_name(str(row["name"]), label, names),
        label=label,
        kind=kind,
        is_required=row["required"] == "1",
        choices=choices if kind == "choice" else (),
    )


def _name(kept: str, label: str, names: Collection[str]) -> str:
    """Answers are kept under it, so it stays when the question is worded anew; a new one is made of the question's words."""
    name = kept if re.fullmatch(r"[a-z0-9_-]{1,40}", kept) else address_of(label)[:36].strip("-") or "question"
    tries = (name, *(f"{name}-{number}" for number in range(2, MOST_QUESTIONS + 2)))
    return next(attempt for attempt in tries if attempt not in names)


def _count(typed: Typed) -> int:
    text = str(typed.get("questions", "0"))
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0


def _clean(value: Any, *, multiline: bool = False) -> str:
    """No control characters; one line, unless it may have several. Empty when there is nothing to see."""
    text = "".join(c for c in str(value or "") if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    if not can_be_seen(text):
        return ""
    return text.strip() if multiline else " ".join(text.split())
