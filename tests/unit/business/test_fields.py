"""The declared fields and the tables agree: nothing is declared that cannot be kept, and nothing kept that nobody declared."""

from __future__ import annotations

import re

import pytest
from marshmallow import missing
from sqlalchemy import CheckConstraint

from portal.business.fields.base import declared
from portal.business.fields.business import BusinessFields, CalendarRules, ResourceFields
from portal.business.fields.kinds import Choices, Lengths, OneOf, Text
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Business, Resource, Service, ServiceQuestion
from portal.calendars.models import Calendar
from portal.commands.calendars import caldav
from portal.sync.event.text import STRICTNESS

TABLES = {
    BusinessFields: Business, ResourceFields: Resource, CalendarRules: Calendar, ServiceFields: Service, QuestionFields: ServiceQuestion,
}  # fmt: skip
NO_FIELDS = {
    "business": {"id", "instance_id", "created_at"},
    "resource": {"id", "is_active", "position"},
    "service": {"id", "position", "is_waitlist_paused"},
    "service_question": {"id", "service_id", "position"},
}
"""Columns that nobody types: the rest of these tables is declared."""
FIELDS = [
    (name, kind, TABLES[declaration].__table__)
    for declaration in TABLES
    for name, kind in declared(declaration).items()
]


def in_table(field):
    name, _kind, table = field
    return f"{table.name}.{name}"


@pytest.mark.parametrize("table", NO_FIELDS)
def test_every_column_that_people_fill_in_is_declared(table):
    (declaration,) = (each for each, model in TABLES.items() if model.__tablename__ == table)
    columns = {column.name for column in TABLES[declaration].__table__.columns}
    assert columns - NO_FIELDS[table] == set(declared(declaration))


@pytest.mark.parametrize("field", FIELDS, ids=in_table)
def test_what_fits_into_a_field_fits_into_its_column(field):
    name, kind, table = field
    column = table.columns[name]
    if isinstance(kind, Text) and not isinstance(kind, Choices):
        assert kind.longest is not None
        assert column.type.length >= kind.longest
    if isinstance(kind, OneOf):
        assert all(len(value) <= column.type.length for value in kind.values)
        assert choices_of(column) in (None, set(kind.values))


@pytest.mark.parametrize("field", FIELDS, ids=in_table)
def test_a_left_out_key_means_what_a_left_out_column_means(field):
    name, kind, table = field
    default = table.columns[name].default
    if default is None or kind.default is missing:
        return
    kept = default.arg(None) if default.is_callable else default.arg
    assert kept == kind.default


@pytest.mark.parametrize("field", FIELDS, ids=in_table)
def test_every_field_has_a_label_and_a_default_that_may_stand_in_it(field):
    _name, kind, _table = field
    assert kind.label
    if kind.default is not missing:
        assert kind.deserialize(kind.default) == kind.default
    if isinstance(kind, Lengths):
        assert kind.read(kind.show(kind.default)) == kind.default


def test_the_command_and_the_events_know_the_same_choices():
    privacy = declared(CalendarRules)["privacy"]
    (option,) = (each for each in caldav.params if each.name == "privacy")
    assert set(option.type.choices) == set(privacy.values) == set(STRICTNESS)
    assert option.default == privacy.default


def choices_of(column):
    """Those of the table's own check, where it has one."""
    for check in column.table.constraints:
        if isinstance(check, CheckConstraint) and str(check.sqltext).startswith(f"{column.name} IN "):
            return set(re.findall("'([^']*)'", str(check.sqltext)))
    return None
