"""The kinds of fields that programs send, and what is said of those that do not fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from marshmallow import ValidationError, fields, missing, pre_load, validate

from portal.business.fields.base import Fields, Kind, Longest
from portal.business.fields.faults import Fault, Path, faults_of, wrong
from portal.errors import Invalid
from portal.language.dates import is_zone

SAYS_INSTANT = "Please give an instant with its offset, such as 2026-12-01T09:00:00Z or 2026-12-01T10:00:00+01:00."
SAYS_WHEN = "Please give a date, such as 2026-12-01, or an instant with its offset, such as 2026-12-01T09:00:00Z."
YEARS = range(2000, 2200)
MOST_ANSWERS = 50
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")
_SENTENCES = {
    "missing": "This field is required.",
    "unknown": "There is no such field here. The fields are: {known}.",
    "text": "This must be a text.",
    "unreadable": "This holds characters that are no text (NUL, or half of a pair).",
    "long": "Please use at most {longest} characters.",
    "count": "This must be a whole number, 1 or more.",
    "truth": "This must be true or false.",
    "instant": SAYS_INSTANT,
    "when": SAYS_WHEN,
    "zone": "There is no such time zone. Please give an IANA name, such as Europe/Madrid.",
    "table": "This must be a JSON object, such as {{…}}.",
    "customer": "This field is required: an object with “name” and “email”.",
    "answers": f"This must be an object of at most {MOST_ANSWERS} texts, numbers or truth values.",
    "answer": "Please answer with a text of at most 2000 characters, a number or true/false.",
    "order": "This must lie after “from”.",
    "window": "Please ask for at most {days} days at once.",
}


class Sent(Fields):
    """What a program sends: texts that are empty or null are as good as left out."""

    @pre_load
    def leave_out(self, data: Any, **_more: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        texts = {
            field.data_key or name for name, field in self.load_fields.items() if isinstance(field, (Words, Answers))
        }
        return {key: value for key, value in data.items() if key not in texts or value not in ("", None)}


class Words(Kind, fields.String):
    """A text as it was sent; what it must be like is for the operation to say."""

    def __init__(self, *, longest: int = 200, **more: Any) -> None:
        super().__init__(check=[Longest(max=longest)], **more)

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> Any:
        if not isinstance(value, str):
            raise wrong("text")
        if _UNREADABLE.search(value):
            raise wrong("unreadable")
        if self.longest is not None and len(value) > self.longest:
            raise wrong("long", longest=self.longest)
        return self.understand(value)

    def _validate(self, _value: Any) -> None:
        """Done with the text; what was understood may be no text any more."""

    def understand(self, text: str) -> Any:
        return text


class Instant(Words):
    """An instant with its offset, in UTC from here on."""

    def understand(self, text: str) -> datetime:
        instant = parse_instant(text)
        if instant is None:
            raise wrong("instant")
        return instant


class When(Words):
    """A date or an instant."""

    def understand(self, text: str) -> date | datetime:
        when = _parse_date(text) if _DATE.fullmatch(text) else parse_instant(text)
        if when is None:
            raise wrong("when")
        return when


class Zone(Words):
    def understand(self, text: str) -> str:
        if not is_zone(text):
            raise wrong("zone")
        return text


class Count(Kind, fields.Integer):
    """How many, 1 or more; in a query it is written with digits."""

    def __init__(self, *, most: int = 10_000, **more: Any) -> None:
        super().__init__(check=[validate.Range(min=1, max=most, error="count")], **more)

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 7:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong("count")
        return value


class Truth(Kind, fields.Boolean):
    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong("truth")
        return value


class Answers(Kind, fields.Dict):
    """By the names of a service's questions; whether they are asked is for the operation to say."""

    def __init__(self, **more: Any) -> None:
        super().__init__(default={}, **more)

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict) or len(value) > MOST_ANSWERS:
            raise wrong("answers")
        errors = {name: [Fault("answer")] for name, answer in value.items() if not _is_plain(name, answer)}
        if errors:
            raise ValidationError(errors)
        return value


def refuse(found: list[tuple[Path, Fault]]) -> None:
    """Raises Invalid with a sentence for each field, by its place: customer.email."""
    told: dict[str, str] = {}
    for path, fault in found:
        place = ".".join(str(part)[:50] for part in path) or "body"
        told.setdefault(place, _SENTENCES[fault.code].format(**{"known": "", **fault.details}))
    if "body" in told:
        raise Invalid("The body must be a JSON object.", fields=told)
    if told:
        raise Invalid("Something in this request does not fit; see the fields.", fields=told)


def load(declaration: Fields, sent: Any) -> tuple[dict[str, Any], list[tuple[Path, Fault]]]:
    """(values, what is wrong): both, for more may be wrong with the values that are good."""
    try:
        return dict(declaration.load(sent)), []
    except ValidationError as error:
        good = error.valid_data if isinstance(error.valid_data, dict) else {}
        return {name: value for name, value in good.items() if value is not missing}, faults_of(error)


def parse_instant(text: str) -> datetime | None:
    """An aware UTC instant, or None. A plus sign that a query string turned into a space is forgiven."""
    text = text.strip().replace(" ", "+")
    if not _INSTANT.fullmatch(text) or int(text[:4]) not in YEARS:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _parse_date(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year in YEARS else None


def _is_plain(name: str, answer: Any) -> bool:
    fits = answer is None or isinstance(answer, (str, int, float, bool))
    return fits and len(name) <= 100 and len(str(answer)) <= 2000 and not _UNREADABLE.search(f"{name}{answer}")
