"""`lockstep doctor`: is this instance well, and if not, what is to be done. Reads only, but for the self-test, which leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.booking.invitation.meetings import without_link
from portal.calendars.meeting_gaps import gaps
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth import client
from portal.clock import now_utc
from portal.config import Settings
from portal.database import schema
from portal.database.engine import database_now, read_transaction
from portal.errors import Invalid
from portal.extensions import current_settings, db
from portal.instance.standing import RESTORED, standing
from portal.language.lengths import words
from portal.outbox import OutboxEntry
from portal.sync import clock_doubts
from portal.sync.outside import left_open, unknown
from portal.upkeep.invariants import invariants
from portal.upkeep.keys import unreadable
from portal.upkeep.private_files import open_to_others
from portal.upkeep.self_test import NotGuarded, self_test
from portal.upkeep.settings_checks import warnings
from portal.upkeep.vitals import read_vitals
from providers.kind import Kind
from providers.kinds import by_consent

LEAST_SPACE = 500 * 2**20
LONG_WAIT = timedelta(minutes=15)
CLOCK_TOLERANCE = timedelta(seconds=5)

__all__ = ["Finding", "examine", "invariants"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. "warn" needs attention some time, "bad" now."""

    subject: str
    state: Literal["ok", "warn", "bad"]
    sentence: str


Check = Callable[[Session], Iterator[Finding]]


def examine(*, strict: bool = False) -> list[Finding]:
    """All findings. `strict` also counts through all bookings, which takes a while in a large database."""
    findings = [*_database()]
    if any(finding.state == "bad" for finding in findings):
        return findings  # nothing else can be known
    findings += _settings()
    checks: list[Check] = [_guards, _instance, _vital, _connections, _consents, _meetings, _stuck, _keys, _clock]
    for check in [*checks, _invariants] if strict else checks:
        findings += read_transaction(lambda session, check=check: list(check(session)))  # type: ignore[misc]
    return [*findings, *_files(), *_disk()]


def _database() -> Iterator[Finding]:
    try:
        schema.require_current()
    except Invalid as error:
        yield Finding("database", "bad", str(error))
        return
    yield Finding("database", "ok", f"{db.engine.dialect.name}, tables at revision {schema.newest()}.")
    if db.engine.dialect.name == "sqlite":
        yield _sqlite_settings()


def _settings() -> Iterator[Finding]:
    for sentence in warnings(current_settings(), os.environ):
        yield Finding("settings", "warn", sentence)


def _sqlite_settings() -> Finding:
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000}
    with db.engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    wrong = [f"{name} is {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value]
    if wrong:
        return Finding("database settings", "bad", f"SQLite is not set up safely: {'; '.join(wrong)}.")
    return Finding("database settings", "ok", "WAL, foreign keys on, synchronous full.")


def _guards(_session: Session) -> Iterator[Finding]:
    try:
        for sentence in self_test():
            yield Finding("self-test", "ok", sentence)
    except NotGuarded as error:
        yield Finding("self-test", "bad", str(error))


def _instance(session: Session) -> Iterator[Finding]:
    found = standing(session)
    if not found.is_ours:
        is_as_told = found.differences == (RESTORED,)  # whoever restored it was told, and looks at it first
        yield Finding("instance", "warn" if is_as_told else "bad", found.sentence)
    else:
        yield Finding("instance", "ok", "Calendars, mails and reminders are this installation's.")


def _vital(session: Session) -> Iterator[Finding]:
    vitals = read_vitals(session, now=now_utc())
    for problem in vitals.problems:
        yield Finding("worker and outbox", "bad", problem)
    if not vitals.problems and vitals.worker_seen is not None:
        waiting = vitals.outbox.get("todo", 0)
        yield Finding("worker and outbox", "ok", f"Seen {words(vitals.worker_seen)} ago; {waiting} entries wait.")
    if vitals.outbox_waiting is not None and vitals.outbox_waiting > LONG_WAIT:
        sentence = (
            f"The oldest entry has been waiting for {words(vitals.outbox_waiting)}: `lockstep outbox` says for what."
        )
        yield Finding("outbox", "warn", sentence)
    for number, what in (
        (vitals.open_questions, "outside changes wait for an answer (/admin/questions)"),
        (unknown.count_open(session), "bookings that the backup does not know wait for a decision (/admin/questions)"),
        (vitals.open_conflicts, "bookings overlap outside events (/admin/questions)"),
        (vitals.quarantined_calendars, "calendars have a read held back for a decision (/admin/integrations)"),
    ):
        if number:
            yield Finding("staff", "warn", f"{number} {what}.")


def _connections(session: Session) -> Iterator[Finding]:
    now = now_utc()
    in_use = select(Calendar).join(Connection).where(Connection.leaving.is_(False))
    for calendar in session.scalars(in_use.order_by(Calendar.id)):
        connection = calendar.connection
        name = f"calendar {calendar.id} ({calendar.name or calendar.remote_id})"
        if connection.state == "paused":
            yield Finding(name, "warn", f"Paused for {words(now - connection.state_since)}: not read, not written.")
        elif connection.state != "connected":
            reason = f": {connection.state_reason}" if connection.state_reason else ""
            yield Finding(name, "bad", f"{connection.state} for {words(now - connection.state_since)}{reason}")
        else:
            yield _freshness(name, calendar, now)
        if calendar.unsure_since is not None:
            yield Finding(
                name,
                "warn",
                "Not compared yet since a restore or a copy: counts as unreadable, and nothing is written into it.",
            )
        if calendar.unreadable_objects:
            sentence = f"{calendar.unreadable_objects} events in it cannot be read, or not in full: what is not known of their time counts as taken"
            decided = left_open.count(session, calendar.id)
            also = f"; {decided} of them close no times, as somebody decided" if decided else ""
            yield Finding(name, "warn", f"{sentence}{also} (/admin/integrations).")


def _freshness(name: str, calendar: Calendar, now: datetime) -> Finding:
    if calendar.last_read_at is None:
        return Finding(name, "warn", "Connected, but not read yet.")
    age = now - calendar.last_read_at
    if age.total_seconds() > calendar.freshness:
        return Finding(
            name,
            "bad",
            f"Last read {words(age)} ago; after {calendar.freshness} s the rule “{calendar.when_unreadable}” applies.",
        )
    return Finding(name, "ok", f"Connected, read {words(age)} ago.")


def _meetings(session: Session) -> Iterator[Finding]:
    for sentence in gaps(session):
        yield Finding("meetings", "warn", sentence)
    count = without_link(session, now=now_utc())
    if count:
        sentence = f"{count} appointments to come promise a video meeting, but their calendar has made no link. Please send one."
        yield Finding("meetings", "warn", sentence)


def _consents(session: Session) -> Iterator[Finding]:
    settings = current_settings()
    for kind in by_consent():
        yield from _consent(session, settings, kind)


def _consent(session: Session, settings: Settings, kind: Kind) -> Iterator[Finding]:
    count = session.scalar(select(func.count()).select_from(Connection).where(Connection.provider == kind.name)) or 0
    names = " and ".join(client.client_settings(kind))
    if client.is_configured(settings, kind):
        address = client.redirect_url(settings, kind)
        if client.is_refused(settings):
            yield Finding(kind.name, "bad", f"{kind.server} refuses {address}: LOCKSTEP_URL must begin with https://.")
        else:
            yield Finding(kind.name, "ok", f"OAuth client set; {address} must be among its redirect addresses.")
    elif count:
        sentence = f"{count} connected {kind.server} account(s), but {names} are not both set: none can be read."
        yield Finding(kind.name, "bad", sentence)
    elif client.given_settings(settings, kind):
        yield Finding(kind.name, "warn", f"Of {names} only one is set.")


def _stuck(session: Session) -> Iterator[Finding]:
    rows = session.scalars(select(OutboxEntry).where(OutboxEntry.state == "stuck").order_by(OutboxEntry.id).limit(20))
    for entry in rows:
        yield Finding(
            "outbox", "bad", f"{entry.topic} of {entry.subject} is stuck: {entry.last_error or 'no reason noted'}"
        )


def _keys(session: Session) -> Iterator[Finding]:
    sentences = unreadable(session)
    for sentence in sentences:
        yield Finding("keys", "bad", sentence)
    if not sentences:
        yield Finding("keys", "ok", "Every stored credential opens.")


def _clock(session: Session) -> Iterator[Finding]:
    for sentence in clock_doubts.doubts(session):
        yield Finding("clock", "bad", f"{sentence} {clock_doubts.WAITS}")
    skew = abs(database_now(session) - now_utc())
    if skew > CLOCK_TOLERANCE:
        yield Finding(
            "clock", "bad", f"This machine's clock and the database's differ by {words(skew)}. Set them by NTP."
        )
    else:
        yield Finding("clock", "ok", "This machine's clock and the database's agree.")


def _files() -> Iterator[Finding]:
    found = open_to_others(current_settings())
    for path in found[:5]:
        yield Finding(
            "files",
            "bad",
            f"Others on this machine can read {path}. Give it to the user that runs Lockstep, with mode 600.",
        )
    if not found:
        yield Finding("files", "ok", "Database, keys, backups and mails are for their owner alone.")


def _disk() -> Iterator[Finding]:
    settings = current_settings()
    free = shutil.disk_usage(settings.data).free
    state: Literal["ok", "bad"] = "ok" if free >= LEAST_SPACE else "bad"
    yield Finding("disk", state, f"{free / 2**30:.1f} GB are free in {settings.data}.")


def _invariants(session: Session) -> Iterator[Finding]:
    sentences = invariants(session)
    for sentence in sentences:
        yield Finding("bookings", "bad", sentence)
    if not sentences:
        yield Finding("bookings", "ok", "Appointments, claims, seats, events and ledger agree.")
