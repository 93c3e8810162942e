"""The tables of a seed file: the declared fields of each thing, and what only a file says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from portal.business.fields import checks
from portal.business.fields.base import Fields, Longest
from portal.business.fields.bounds import MOST_LISTS, MOST_QUESTIONS
from portal.business.fields.business import BusinessFields, CalendarRules, ResourceFields
from portal.business.fields.faults import Fault
from portal.business.fields.kinds import Checked, Many, OneOf, Text
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.seed.kinds import (
    Day,
    Days,
    Hours,
    Lists,
    Moment,
    Overrides,
    Roles,
    Secret,
    Slug,
    Tables,
    Time,
    Weekday,
    seats,
)
from providers.kinds import CALDAV, KINDS, by_consent

_SEEDED = {kind.name: kind.label for kind in KINDS.values() if kind.may_be_seeded}
_BY_CONSENT = {
    kind.name: f"A {kind.server} calendar is connected on the page /admin/integrations, because its owner has to consent"
    for kind in by_consent()
}


class CalendarTable(CalendarRules):
    provider = OneOf("Provider", _SEEDED, default=CALDAV.name, instead=_BY_CONSENT)
    url = Checked("Address", checks.url, longest=1000)
    username = Text("User name")
    password = Secret(default="")
    password_env = Text("Variable with the password", default="")
    roles = Roles()


class ResourceTable(ResourceFields):
    hours = Hours(default={})
    closed = Days(code="date")
    overrides = Overrides(default={})
    calendar = Tables(CalendarTable)


class DateTable(Fields):
    start = Moment()
    capacity = seats()
    resource = Slug(default="")


class SeriesTable(Fields):
    weekday = Weekday()
    time = Time()
    first = Day()
    last = Day(default=None)
    capacity = seats()
    resource = Slug(default="")
    except_on = Days(key="except", code="exception", may_repeat=True)

    @validates_schema(skip_on_field_errors=False)
    def last_follows_first(self, data: dict[str, Any], **_more: Any) -> None:
        if data.get("last") and data.get("first") and data["last"] < data["first"]:
            raise ValidationError([Fault("before_first")], "last")


class ServiceTable(ServiceFields):
    class Meta(ServiceFields.Meta):
        exclude = ("is_active",)

    resources = Many("Resources", Slug(), most=1000)
    also_needs = Lists(most=MOST_LISTS - 1)
    question = Tables(QuestionFields, check=[Longest(max=MOST_QUESTIONS)])
    date = Tables(DateTable)
    series = Tables(SeriesTable)

    @validates_schema(skip_on_field_errors=False)
    def names_a_resource(self, data: dict[str, Any], **_more: Any) -> None:
        if data.get("resources") == []:
            raise ValidationError([Fault("no_resources")], "resources")

    @validates_schema(skip_on_field_errors=False)
    def questions_differ(self, data: dict[str, Any], **_more: Any) -> None:
        names = [question.get("name") for question in data.get("question", ())]
        again = [number for number, name in enumerate(names) if name and name in names[:number]]
        if again:
            raise ValidationError({"question": {number: {"name": [Fault("other_question")]} for number in again}})

    @validates_schema(skip_on_field_errors=False)
    def dates_fit(self, data: dict[str, Any], **_more: Any) -> None:
        """Dates belong to a service whose times are set, and to one of its own people, each once."""
        errors: dict[str, Any] = {}
        for key in ("date", "series"):
            items = data.get(key, [])
            if items and data.get("timing") == "slots":
                errors[key] = [Fault("not_fixed")]
            elif found := dict(_misfits(items, data.get("resources"))):
                errors[key] = found
        if errors:
            raise ValidationError(errors)


class BusinessTable(Fields):
    """The whole file."""

    business = fields.Nested(BusinessFields, required=True, error_messages={"required": "business_missing"})
    resource = Tables(ResourceTable)
    service = Tables(ServiceTable)


def _misfits(items: list[dict[str, Any]], resources: list[str] | None) -> Iterator[tuple[int, dict[str, list[Fault]]]]:
    for number, item in enumerate(items):
        found: dict[str, list[Fault]] = {}
        if resources is not None and item.get("resource") and item["resource"] not in resources:
            found["resource"] = [Fault("not_theirs")]
        if any(_is_same(item, other) for other in items[:number]):
            found["start" if "start" in item else "time"] = [Fault("same_time")]
        if found:
            yield number, found


def _is_same(item: dict[str, Any], other: dict[str, Any]) -> bool:
    """At the same time, with the same person. Of series only such as share a day: one may go on where another one ends."""
    if item.get("resource") != other.get("resource"):
        return False
    if "start" in item:
        return bool(item["start"] == other.get("start"))
    if not all({"weekday", "time", "first"} <= each.keys() for each in (item, other)):
        return False
    if (item["weekday"], item["time"]) != (other["weekday"], other["time"]):
        return False
    begins_before_its_end = other.get("last") is None or item["first"] <= other["last"]
    ends_after_its_start = item.get("last") is None or item["last"] >= other["first"]
    return bool(begins_before_its_end and ends_after_its_start)
