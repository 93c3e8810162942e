"""The seed file: a whole business in one TOML file, read into plain values. Pure; `portal.seed.apply` puts them into the database.

Everything is checked here that can be checked without a database, and every wrong key or value is named with its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from portal.business.checks import (
    Range,
    check_email,
    check_language,
    check_slug,
    check_url,
    check_zone,
    read_day,
    read_range,
    shown,
)  # fmt: skip
from portal.errors import Invalid
from portal.seed.file_services import read_service
from portal.seed.table import REQUIRED, Problems, Table
from portal.seed.toml_lines import Path, line_numbers
from portal.seed.values import (
    BY_CONSENT,
    KINDS,
    PRIVACY,
    PROVIDERS,
    ROLES,
    WHEN_DELETED,
    WHEN_MOVED,
    WHEN_UNREADABLE,
    SeedBusiness,
    SeedCalendar,
    SeedFile,
    SeedResource,
    SeedService,
)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read_seed_file(
    text: str, *, name: str, environ: Mapping[str, str], known_resources: Collection[str] = ()
) -> SeedFile:
    """The values of a seed file called `name`. `environ` answers `password_env`; services may also use `known_resources`.

    Raises Invalid with one sentence per problem, each with its line.
    """
    values, problems = _parse(text, name)
    root = Table(values, (), problems)
    business = _business(_only_table(root, values, problems))
    resources = tuple(_resource(table, business.zone, environ) for table in root.tables("resource"))
    slugs = {resource.slug for resource in resources} | set(known_resources)
    services = tuple(read_service(table, slugs) for table in root.tables("service"))
    root.finish()
    _refuse_repeated(resources, "resource", problems)
    _refuse_repeated(services, "service", problems)
    if problems.found:
        raise Invalid("\n".join(f"{name}, line {line}: {sentence}" for line, sentence in sorted(set(problems.found))))
    return SeedFile(business=business, resources=resources, services=services)


def _parse(text: str, name: str) -> tuple[dict[str, Any], Problems]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(_syntax_sentence(str(error), text, name)) from None
    return values, Problems(line_numbers(text))


def _syntax_sentence(reason: str, text: str, name: str) -> str:
    """tomllib says "... (at line 3, column 4)" or "... (at end of document)"."""
    reason, _, place = reason.partition(" (at ")
    number = re.match(r"line (\d+)", place)
    line = number[1] if number else len(text.splitlines()) or 1
    return f"{name}, line {line}: this is not valid TOML: {reason}."


def _only_table(root: Table, values: dict[str, Any], problems: Problems) -> Table:
    """The table [business]; an empty one when it is missing, which is noted."""
    root.entries("business")
    if "business" not in values:
        problems.note((), "the table [business] is missing.")
    found = values.get("business")
    return Table(found if isinstance(found, dict) else {}, ("business",), problems)


def _business(table: Table) -> SeedBusiness:
    business = SeedBusiness(
        name=table.name("name"),
        zone=table.text("zone", check=check_zone),
        language=table.text("language", default="en", check=check_language),
        email=table.text("email", default="", longest=254, check=check_email),
        retention_days=table.optional_number("retention_days", least=1, most=36_500, unit=" days"),
        confirm_by_mail=table.truth("confirm_by_mail"),
    )
    table.finish()
    return business


def _resource(table: Table, business_zone: str, environ: Mapping[str, str]) -> SeedResource:
    resource = SeedResource(
        slug=table.text("slug", longest=64, check=check_slug),
        kind=table.choice("kind", KINDS, default="staff"),
        name=table.name("name"),
        email=table.text("email", default="", longest=254, check=check_email),
        zone=table.text("zone", default=business_zone, check=check_zone),
        hours=_hours(table),
        overrides=_overrides(table),
        calendars=tuple(_calendar(calendar, environ) for calendar in table.tables("calendar")),
    )
    table.finish()
    return resource


def _calendar(table: Table, environ: Mapping[str, str]) -> SeedCalendar:
    calendar = SeedCalendar(
        line=table.line,
        provider=table.choice("provider", PROVIDERS, default="caldav", instead=BY_CONSENT),
        url=table.text("url", longest=1000, check=check_url),
        username=table.text("username"),
        password=_password(table, environ),
        roles=_roles(table),
        when_moved=table.choice("when_moved", WHEN_MOVED, default="follow"),
        when_deleted=table.choice("when_deleted", WHEN_DELETED, default="ask"),
        when_unreadable=table.choice("when_unreadable", WHEN_UNREADABLE, default="pending"),
        privacy=table.choice("privacy", PRIVACY, default="initials"),
        freshness=table.number("freshness", least=60, most=7 * 86400, default=600, unit=" seconds"),
    )
    table.finish()
    return calendar


def _hours(table: Table) -> dict[int, tuple[Range, ...]]:
    hours = {}
    for path, name, value in table.entries("hours"):
        if name not in WEEKDAYS:
            table.wrong_at(path, f"hours are given for {', '.join(WEEKDAYS)}; {name} is none of them.")
            continue
        hours[WEEKDAYS.index(name)] = _ranges(table, path, value)
    return {day: ranges for day, ranges in sorted(hours.items()) if ranges}


def _overrides(table: Table) -> dict[date, tuple[Range, ...]]:
    """Closed days and days with other hours; an empty tuple is a closed day."""
    days: dict[date, tuple[Range, ...]] = {}
    for path, value in table.items("closed", default=[]):
        _add_day(table, path, value, (), days)
    for path, name, value in table.entries("overrides"):
        _add_day(table, path, name, _ranges(table, path, value), days)
    return dict(sorted(days.items()))


def _add_day(
    table: Table, path: Path, value: Any, ranges: tuple[Range, ...], days: dict[date, tuple[Range, ...]]
) -> None:
    day = read_day(value)
    if day is None:
        table.wrong_at(path, f"{shown(value)} is no date; write it as 2027-01-06.")
    elif day in days:
        table.wrong_at(path, f"{day} is named twice.")
    else:
        days[day] = ranges


def _ranges(table: Table, path: Path, value: Any) -> tuple[Range, ...]:
    """Sorted working ranges that do not overlap."""
    if not isinstance(value, list):
        table.wrong_at(path, f'must be a list of ranges such as ["09:00-13:00"], not {shown(value)}.')
        return ()
    ranges: list[Range] = []
    for number, item in enumerate(value):
        found = read_range(item)
        if found is None:
            table.wrong_at(
                (*path, number), f'{shown(item)} is no range; write it as "09:00-13:00", in steps of 5 minutes.'
            )
        elif any(found[0] < other[1] and other[0] < found[1] for other in ranges):
            table.wrong_at((*path, number), f"{shown(item)} overlaps another range of the same day.")
        else:
            ranges.append(found)
    return tuple(sorted(ranges))


def _roles(table: Table) -> tuple[str, ...]:
    roles = []
    for path, value in table.items("roles", default=list(ROLES)):
        if value not in ROLES:
            table.wrong_at(
                path,
                f"a role is busy (its events close times) or destination (bookings are written there), not {shown(value)}.",
            )
        else:
            roles.append(value)
    if table.has("roles") and not roles:
        table.wrong("roles", "must name busy, destination or both")
    return tuple(role for role in ROLES if role in roles)


def _password(table: Table, environ: Mapping[str, str]) -> str:
    if table.has("password") and table.has("password_env"):
        table.wrong("password_env", "and password exclude each other; keep one")
    variable = table.text("password_env", default="")
    if not variable:
        return table.text("password", default="" if table.has("password_env") else REQUIRED)
    table.text("password", default="")
    if not environ.get(variable):
        table.wrong("password_env", f"names {variable}, which is not set in the environment")
    return environ.get(variable, "")


def _refuse_repeated(things: Sequence[SeedResource | SeedService], kind: str, problems: Problems) -> None:
    seen: set[str] = set()
    for number, thing in enumerate(things):
        if thing.slug and thing.slug in seen:
            problems.note((kind, number, "slug"), f"there are two with the slug {thing.slug}.")
        seen.add(thing.slug)
