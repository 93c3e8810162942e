"""Reads the [[service]] tables of a seed file. Pure; called by `file`."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial

from portal.business.checks import check_service_slug, shown
from portal.seed.file_dates import check_dates, read_dates, read_series
from portal.seed.table import Table
from portal.seed.toml_lines import Path
from portal.seed.values import (
    ASSIGNMENTS,
    LOCATION_KINDS,
    MEETINGS,
    QUESTION_KINDS,
    TIMINGS,
    SeedQuestion,
    SeedService,
)  # fmt: skip

MONTH = 30 * 24 * 60
MOST_REMINDERS = 5
_QUESTION_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


def read_service(table: Table, slugs: Collection[str]) -> SeedService:
    """One service; `slugs` are those of all resources. What does not fit is noted with the table."""
    minutes = partial(table.number, unit=" minutes", most=MONTH)
    limit = partial(table.optional_number, least=1, most=1000)
    duration = minutes("duration", least=5, step=5)
    service = SeedService(
        slug=table.text("slug", longest=64, check=check_service_slug),
        name=table.name("name"),
        description=table.text("description", default="", longest=2000),
        location=table.text("location", default="", longest=300),
        location_kind=table.choice("location_kind", LOCATION_KINDS, default=""),
        meeting=table.choice("meeting", MEETINGS, default=""),
        price=table.text("price", default="", longest=100),
        timing=table.choice("timing", TIMINGS, default="slots"),
        duration=duration,
        step=minutes("step", least=5, step=5, default=duration),
        buffer_before=minutes("buffer_before", least=0, step=5, default=0),
        buffer_after=minutes("buffer_after", least=0, step=5, default=0),
        notice=minutes("notice", least=0, default=0),
        horizon=table.number("horizon", least=1, most=730, default=60, unit=" days"),
        capacity=table.number("capacity", least=1, most=500, default=1),
        per_day=limit("per_day"),
        per_week=limit("per_week"),
        per_customer=limit("per_customer"),
        needs_approval=table.truth("approval"),
        confirm_by_mail=table.truth("confirm_by_mail"),
        is_hidden=table.truth("hidden"),
        assignment=table.choice("assignment", ASSIGNMENTS, default="choose"),
        cancel_until=minutes("cancel_until", least=0, default=0),
        move_until=minutes("move_until", least=0, default=0),
        reminders=_reminders(table),
        has_waitlist=table.truth("waitlist"),
        offer_minutes=minutes("offer_minutes", least=5, default=240),
        questions=_questions(table),
        dates=read_dates(table),
        series=read_series(table),
        lists=_lists(table, slugs),
    )
    check_dates(table, service)
    table.finish()
    return service


def _reminders(table: Table) -> tuple[int, ...]:
    """Minutes before the start, the earliest first."""
    found: list[int] = []
    for path, value in table.items("reminders", default=[1440]):
        if not isinstance(value, int) or isinstance(value, bool) or not 5 <= value <= MONTH:
            table.wrong_at(path, f"a reminder is a number of minutes from 5 to {MONTH}, not {shown(value)}.")
        elif value in found:
            table.wrong_at(path, f"{value} is named twice.")
        else:
            found.append(value)
    if len(found) > MOST_REMINDERS:
        table.wrong("reminders", f"must be at most {MOST_REMINDERS}")
    return tuple(sorted(found, reverse=True))


def _questions(table: Table) -> tuple[SeedQuestion, ...]:
    questions: list[SeedQuestion] = []
    for item in table.tables("question"):
        question = _question(item)
        if question.name and question.name in {other.name for other in questions}:
            item.wrong("name", f"is that of another question too: {question.name}")
        questions.append(question)
    return tuple(questions)


def _question(table: Table) -> SeedQuestion:
    question = SeedQuestion(
        name=table.text("name", longest=40, check=_check_name),
        label=table.text("label", longest=300),
        kind=table.choice("kind", QUESTION_KINDS, default="text"),
        is_required=table.truth("required"),
        choices=_choices(table),
    )
    if question.kind == "choice" and not question.choices:
        table.wrong("choices" if table.has("choices") else "kind", 'needs choices, such as ["tea", "coffee"]')
    if question.kind != "choice" and question.choices:
        table.wrong("choices", f'belong to kind = "choice", not to {shown(question.kind)}')
    table.finish()
    return question


def _check_name(value: str) -> str | None:
    return (
        None if _QUESTION_NAME.fullmatch(value) else f"must be lower-case letters, digits, - and _, not {shown(value)}"
    )


def _choices(table: Table) -> tuple[str, ...]:
    choices: list[str] = []
    for path, value in table.items("choices", default=[]):
        text = " ".join(value.split()) if isinstance(value, str) else ""
        if not 1 <= len(text) <= 200:
            table.wrong_at(path, f"a choice is a text of 1 to 200 characters, not {shown(value)}.")
        elif text in choices:
            table.wrong_at(path, f"{shown(text)} is named twice.")
        else:
            choices.append(text)
    return tuple(choices)


def _lists(table: Table, slugs: Collection[str]) -> tuple[tuple[str, ...], ...]:
    items = table.items("resources")
    main = _list(table, items, slugs)
    if table.has("resources") and not items:
        table.wrong("resources", "must name at least one resource")
    lists = [main]
    for path, value in table.items("also_needs", default=[]):
        if not isinstance(value, list) or not value:
            table.wrong_at(
                path, f'also_needs is a list of lists such as [["room-1", "room-2"]]; {shown(value)} is none.'
            )
            continue
        lists.append(_list(table, [((*path, number), item) for number, item in enumerate(value)], slugs))
    return tuple(lists)


def _list(table: Table, items: list[tuple[Path, object]], slugs: Collection[str]) -> tuple[str, ...]:
    named: list[str] = []
    for path, value in items:
        if not isinstance(value, str) or value not in slugs:
            table.wrong_at(path, f"there is no resource {shown(value)}; add it as [[resource]].")
        elif value in named:
            table.wrong_at(path, f"{value} is named twice.")
        else:
            named.append(value)
    return tuple(named)
