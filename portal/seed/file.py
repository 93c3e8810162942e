"""The seed file: a whole business in one TOML file, read into plain values. Pure; `portal.seed.apply` puts them into the database.

Everything is checked here that can be checked without a database, and every wrong key or value is named with its line, all at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from marshmallow import ValidationError

from portal.business.fields.base import declared, schema_of
from portal.business.fields.business import CalendarRules, ResourceFields
from portal.business.fields.faults import Fault, Path, faults_of, value_at
from portal.business.fields.service import ServiceFields
from portal.errors import Invalid
from portal.seed.kinds import read_day
from portal.seed.schema import BusinessTable
from portal.seed.sentences import sentence
from portal.seed.toml_lines import line_numbers, line_of
from portal.seed.values import Range, SeedCalendar, SeedDate, SeedFile, SeedResource, SeedSeries, SeedService, Values

Table = Mapping[str, Any]


def read_seed_file(
    text: str, *, name: str, environ: Mapping[str, str], known_resources: Collection[str] = ()
) -> SeedFile:
    """The values of a seed file called `name`. `environ` answers `password_env`; services may also use `known_resources`.

    Raises Invalid with one sentence per problem, each with its line.
    """
    document = _parse(text, name)
    lines = line_numbers(text)
    found: list[tuple[Path, Fault]] = list(_across(document, environ, known_resources))
    read: Table = {}
    try:
        read = schema_of(BusinessTable).load(document)
    except ValidationError as error:
        found += faults_of(error)
    if found:
        told = {(line_of(lines, path), sentence(path, fault, value_at(document, path))) for path, fault in found}
        raise Invalid("\n".join(f"{name}, line {line}: {words}" for line, words in sorted(told)))
    zone = read["business"]["zone"]
    return SeedFile(
        business=read["business"],
        resources=tuple(_resource(each, n, zone, lines, environ) for n, each in enumerate(read["resource"])),
        services=tuple(_service(each) for each in read["service"]),
    )


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(_syntax_sentence(str(error), text, name)) from None


def _syntax_sentence(reason: str, text: str, name: str) -> str:
    """tomllib says "... (at line 3, column 4)" or "... (at end of document)"."""
    reason, _, place = reason.partition(" (at ")
    number = re.match(r"line (\d+)", place)
    line = number[1] if number else len(text.splitlines()) or 1
    return f"{name}, line {line}: this is not valid TOML: {reason}."


def _across(document: Table, environ: Mapping[str, str], known: Collection[str]) -> Iterator[tuple[Path, Fault]]:
    """What is wrong between the tables, and with passwords. The document is as it was written: anything may be of any kind."""
    resources, services = list(_tables(document, "resource")), list(_tables(document, "service"))
    slugs = {str(table.get("slug")).strip() for _, table in resources} | set(known)
    for tables in (resources, services):
        yield from _repeated(tables)
    for path, table in services:
        for place, slug in _named(path, table):
            if slug.strip() not in slugs:
                yield place, Fault("no_resource")
    for path, table in resources:
        yield from _days_twice(path, table)
        for place, calendar in _tables(table, "calendar", path):
            yield from _passwords(place, calendar, environ)


def _tables(inside: Table, key: str, path: Path = ()) -> Iterator[tuple[Path, Table]]:
    found = inside.get(key)
    for number, table in enumerate(found if isinstance(found, list) else ()):
        if isinstance(table, dict):
            yield (*path, key, number), table


def _repeated(tables: list[tuple[Path, Table]]) -> Iterator[tuple[Path, Fault]]:
    seen: set[Any] = set()
    for path, table in tables:
        slug = table.get("slug")
        if isinstance(slug, str) and slug.strip():
            if slug.strip() in seen:
                yield (*path, "slug"), Fault("other_slug")
            seen.add(slug.strip())


def _named(path: Path, service: Table) -> Iterator[tuple[Path, str]]:
    """The resources that a service names, each with its place."""
    lists = [((*path, "resources"), service.get("resources"))]
    more = service.get("also_needs")
    lists += [((*path, "also_needs", n), each) for n, each in enumerate(more if isinstance(more, list) else ())]
    for place, slugs in lists:
        for number, slug in enumerate(slugs if isinstance(slugs, list) else ()):
            if isinstance(slug, str):
                yield (*place, number), slug


def _days_twice(path: Path, resource: Table) -> Iterator[tuple[Path, Fault]]:
    closed, others = resource.get("closed"), resource.get("overrides")
    days = [read_day(item) for item in closed] if isinstance(closed, list) else []
    for name in others if isinstance(others, dict) else ():
        if (day := read_day(name)) is not None and day in days:
            yield (*path, "overrides", name), Fault("day_twice", "", {"day": day})


def _passwords(path: Path, calendar: Table, environ: Mapping[str, str]) -> Iterator[tuple[Path, Fault]]:
    variable = calendar.get("password_env")
    if "password_env" not in calendar:
        if not calendar.get("password"):
            yield ((*path, "password"), Fault("empty")) if "password" in calendar else (path, Fault("missing_password"))
        return
    if "password" in calendar:
        yield (*path, "password_env"), Fault("two_passwords")
    if isinstance(variable, str) and not environ.get(variable.strip()):
        yield (*path, "password_env"), Fault("not_set")


def _resource(
    table: Table, number: int, business_zone: str, lines: dict[Path, int], environ: Mapping[str, str]
) -> SeedResource:
    values = {"zone": business_zone, **_columns(table, declared(ResourceFields))}
    overrides: dict[date, tuple[Range, ...]] = {**dict.fromkeys(table["closed"], ()), **table["overrides"]}
    return SeedResource(
        slug=values.pop("slug"),
        values=values,
        hours=table["hours"],
        overrides=dict(sorted(overrides.items())),
        calendars=tuple(
            _calendar(each, line_of(lines, ("resource", number, "calendar", n)), environ)
            for n, each in enumerate(table["calendar"])
        ),
    )


def _calendar(table: Table, line: int, environ: Mapping[str, str]) -> SeedCalendar:
    roles = {"is_busy_source": "busy" in table["roles"], "is_destination": "destination" in table["roles"]}
    return SeedCalendar(
        line=line,
        provider=table["provider"],
        url=table["url"],
        username=table["username"],
        password=environ.get(table["password_env"], "") if table["password_env"] else table["password"],
        roles=roles,
        rules=_columns(table, declared(CalendarRules)),
    )


def _service(table: Table) -> SeedService:
    values = _columns(table, declared(ServiceFields))
    return SeedService(
        slug=values.pop("slug"),
        values=values,
        questions=tuple(table["question"]),
        dates=tuple(_date(each) for each in table["date"]),
        series=tuple(_series(each) for each in table["series"]),
        lists=(tuple(table["resources"]), *map(tuple, table["also_needs"])),
    )


def _columns(table: Table, names: Collection[str]) -> dict[str, Any]:
    return {name: table[name] for name in names if name in table}


def _date(table: Values) -> SeedDate:
    on, starts = table["start"]
    return SeedDate(on=on, starts=starts, capacity=table["capacity"], resource=table["resource"])


def _series(table: Values) -> SeedSeries:
    return SeedSeries(
        weekday=table["weekday"],
        starts=table["time"],
        first_on=table["first"],
        last_on=table["last"],
        capacity=table["capacity"],
        resource=table["resource"],
        except_on=tuple(sorted(set(table["except_on"]))),
    )
