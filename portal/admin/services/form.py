"""The form of a service as staff send it: what it shows at first, and what is meant by what was typed. Called by
`portal.admin.services.routes`.

`typed` holds all fields by name as texts, checkboxes as "1" or missing, resources as lists of ids. Questions are rows: `q-<number>-label` and
so on; the rows at the end are empty ones for new questions. `lists` and the rows say what the page showed: a list or a question that it did
not show stays as it is. A question that stands already is removed by its box alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from portal.business.fields import checks
from portal.business.fields import typed as declared_form
from portal.business.fields.base import declared
from portal.business.fields.bounds import MOST_LISTS, MOST_QUESTIONS
from portal.business.fields.faults import Fault
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import (
    Service,
    ServiceQuestion,
)
from portal.business.services import WantedService
from portal.errors import Invalid

Typed = Mapping[str, Any]

NEW_QUESTIONS = 2
_ROW = re.compile(r"q-([0-9]{1,3})-[a-z]+")
_LIST = re.compile(r"list-([0-9]{1,3})")
_PARTS = {"name": "name", "label": "label", "kind": "kind", "required": "is_required", "choices": "choices"}
"""Of a question's row, with the columns that they are of."""


def shown(service: Service) -> dict[str, Any]:
    """The form of a service as it stands."""
    typed: dict[str, Any] = declared_form.shown(ServiceFields, service)
    for need in service.needs:
        typed.setdefault(f"list-{need.list_no}", []).append(str(need.resource_id))
    for number, question in enumerate(service.questions):
        row = declared_form.shown(QuestionFields, question)
        typed |= {f"q-{number}-{part}": row[column] for part, column in _PARTS.items()}
        typed[f"q-{number}-order"] = str(number + 1)
    typed["questions"] = str(len(service.questions))
    return typed


def empty() -> dict[str, Any]:
    """The form of a new service, with what most of them want."""
    return {**declared_form.begun(ServiceFields), "questions": "0"}


def rows_shown(typed: Typed) -> range:
    """The numbers of the question rows of a form: all that are filled in, and empty ones for new questions."""
    filled = [number for number in _rows(typed) if str(typed.get(f"q-{number}-label", "")).strip()]
    count = max(max(filled, default=-1) + 1, _count(typed, "questions"))
    return range(max(count, min(count + NEW_QUESTIONS, MOST_QUESTIONS)))


def lists_shown(typed: Typed) -> range:
    """The numbers of the lists of resources of a form: those in use, the main one at least, and an empty one."""
    used = max((number for number in _lists_of(typed) if typed[f"list-{number}"]), default=0) + 1
    return range(max(used, min(used + 1, MOST_LISTS)))


def read(
    typed: Typed, *, resource_ids: Collection[int], taken_slugs: Collection[str], present: Service | None = None
) -> WantedService:
    """What is meant; `present` is the service as it stands. Raises Invalid with a sentence for each field that does not fit; the rows of
    questions are fields of their own."""
    values, errors = declared_form.read(ServiceFields, typed, present=present, without=("slug",))
    wanted = WantedService(
        slug=_slug(typed, taken_slugs, errors),
        values=values,
        lists=_lists(typed, resource_ids, present, errors),
        questions=_questions(typed, present, errors),
    )
    if errors:
        raise Invalid("Nothing is saved yet: please look at these fields.", fields=errors)
    return wanted


def _slug(typed: Typed, taken: Collection[str], errors: dict[str, str]) -> str:
    slug = str(typed.get("slug", "")).strip() or address_of(str(typed.get("name", "")))
    code = checks.service_slug(slug)
    if not slug:
        errors["slug"] = "The address cannot be made of this name: please write one."
    elif code:
        errors["slug"] = declared_form.sentence(declared(ServiceFields)["slug"], Fault(code, "", {"text": slug}))
    elif len(slug) > 64:
        errors["slug"] = "Please use at most 64 characters."
    elif slug in taken:
        errors["slug"] = "Another service has this address already."
    return slug


def address_of(name: str) -> str:
    """ "Yoga für Anfänger" -> "yoga-fur-anfanger" """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain))[:64].strip("-")


def _lists(
    typed: Typed, resource_ids: Collection[int], present: Service | None, errors: dict[str, str]
) -> tuple[tuple[int, ...], ...]:
    chosen = {number: _known(typed[f"list-{number}"], resource_ids) for number in _lists_of(typed)}
    page_showed = _count(typed, "lists") if "lists" in typed else max(chosen, default=0) + 1
    for need in present.needs if present else ():
        if need.list_no >= page_showed:
            chosen[need.list_no] = (*chosen.get(need.list_no, ()), need.resource_id)
    lists = [ids for number, ids in sorted(chosen.items()) if ids or number == 0]
    if not chosen.get(0):
        errors["list-0"] = "Please choose who or what gives this service: at least one."
    if len(lists) > MOST_LISTS:
        errors[f"list-{MOST_LISTS}"] = f"These are too many: please leave it at {MOST_LISTS} lists."
    return tuple(lists)


def _known(ids: Sequence[str], resource_ids: Collection[int]) -> tuple[int, ...]:
    numbers = [int(text) for text in ids if re.fullmatch(r"[0-9]{1,9}", text)]
    return tuple(dict.fromkeys(number for number in numbers if number in resource_ids))


def _questions(typed: Typed, present: Service | None, errors: dict[str, str]) -> tuple[Mapping[str, Any], ...]:
    rows: list[tuple[float, Mapping[str, Any]]] = []
    sent = {str(typed.get(f"q-{number}-name", "")) for number in _rows(typed)}
    unseen = [question for question in (present.questions if present else ()) if question.name not in sent]
    names = {question.name for question in unseen}
    for number in _rows(typed):
        row = {part: typed.get(f"q-{number}-{part}", "") for part in (*_PARTS, "order", "remove")}
        if row["remove"] == "1" or not any(str(row[part]).strip() for part in ("label", "choices", "name")):
            continue
        question = _question(number, row, names, errors)
        names.add(question["name"])
        order = str(row["order"]).strip()
        rows.append((float(order) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", order) else 1000.0 + number, question))
        if len(rows) + len(unseen) > MOST_QUESTIONS:
            errors[f"q-{number}-label"] = f"These are too many: please leave it at {MOST_QUESTIONS} questions."
    rows += [(float(question.position + 1), _values(question)) for question in unseen]
    return tuple(question for _, question in sorted(rows, key=lambda pair: pair[0]))


def _question(number: int, row: Mapping[str, Any], names: Collection[str], errors: dict[str, str]) -> Mapping[str, Any]:
    label = str(row["label"])
    columns = {column: row[part] for part, column in _PARTS.items() if part != "choices" or row["kind"] == "choice"}
    columns |= {"name": _name(str(row["name"]), label, names), "kind": row["kind"] or "text"}
    values, wrong = declared_form.read(QuestionFields, columns)
    parts = {column: part for part, column in _PARTS.items()}
    errors |= {f"q-{number}-{parts[column]}": told for column, told in wrong.items()}
    return {"choices": [], **values, "name": columns["name"]}


def _name(kept: str, label: str, names: Collection[str]) -> str:
    """Answers are kept under it, so it stays when the question is worded anew; a new one is made of the question's words."""
    is_good = checks.question_name(kept) is None and len(kept) <= 40
    name = kept if is_good else address_of(label)[:36].strip("-") or "question"
    tries = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    return next(attempt for attempt in tries if attempt not in names)


def _values(question: ServiceQuestion) -> Mapping[str, Any]:
    return {name: getattr(question, name) for name in declared(QuestionFields)}


def _rows(typed: Typed) -> list[int]:
    return sorted({int(match[1]) for match in map(_ROW.fullmatch, typed) if match})


def _lists_of(typed: Typed) -> list[int]:
    return sorted({int(match[1]) for match in map(_LIST.fullmatch, typed) if match})


def _count(typed: Typed, name: str) -> int:
    text = str(typed.get(name, "0"))
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
