"""A portal whose worker is a real process that may be killed anywhere, with its calendar on a real Radicale, or at the stand-in for Google.

The test itself stands in the web process's place: it books, moves and cancels through the same operations on the same database. A person's
own calendar program is `person`. Used by the tests of this folder.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import update

from portal.app import create_app
from portal.business.models import Service
from portal.calendars.account import account_of
from portal.calendars.connect import ChosenCalendar, Connected, connect_caldav
from portal.calendars.models import Calendar
from portal.calendars.open import calendar_ref, provider_of
from portal.clock import now_utc
from portal.config import NAMES, Settings
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync import throttle
from providers.calendars.base import RemoteEvent
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, fresh
from tests.providers.caldav_people import CalDavPerson
from tests.providers.contract import Person
from tests.providers.servers import RadicaleServer
from tests.support import databases, google
from tests.support.google import GooglePerson
from tests.support.google_server import GoogleServer

PATIENCE = 20.0


def until(is_so: Callable[[], bool], *, seconds: float = PATIENCE, what: str = "it") -> float:
    """Wait until it is so; gives how long that took. Fails the test when it never is."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"Waited {seconds:.0f} s in vain for {what}."
        time.sleep(0.03)
    return time.monotonic() - began


class Worker:
    """A worker process: forked, as `lockstep serve` does it, from a parent that has imported everything already.

    `failpoint` names the place where it kills itself, the first time it gets there.
    """

    def __init__(self, settings: Settings, *, failpoint: str = "") -> None:
        self.log = settings.data / f"worker-{time.monotonic_ns()}.log"
        self._process = nursery().Process(
            target=run_worker, args=(environment(settings, failpoint=failpoint), str(self.log))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def dies(self) -> bool:
        """True when it has ended by SIGKILL; its own doing, at the failpoint."""
        return self._process.exitcode == -signal.SIGKILL

    def stop(self) -> int | None:
        """SIGTERM, and its exit status. Fails when it takes longer than the five seconds that it promises."""
        self._process.terminate()
        self._process.join(6)
        assert self._process.exitcode is not None, f"The worker did not stop:\n{self.log.read_text()[-2000:]}"
        return self._process.exitcode

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join(5)


@functools.cache
def nursery() -> Any:
    """Where workers are forked: a process of its own that has loaded what they need, so that a start takes no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.preload"])
    return context


def run_worker(environment: dict[str, str], log: str) -> None:
    """In the forked process: be a worker, with nothing of the test's own surroundings."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    from portal.worker import run

    run.main()


class House(Studio):
    """One member of staff, one service, one calendar: a fresh one each time `furnish` is called."""

    person: Person

    def __init__(self, app: Flask, server: Any) -> None:
        self.app = app
        self.server = server
        self.settings: Settings = app.extensions["settings"]
        self._count = 0

    def furnish(self) -> None:
        """Empty the database, and make a new calendar on the server."""
        databases.empty(self.app)
        throttle.forget()
        self._count += 1
        ana = make_resource(weekly=ALL_DAY, zone="UTC", email="ana@studio.example")
        service: Service = make_service([ana], duration=60, step=30)
        self.service_slug, self.resource_id = service.slug, ana.id
        (self.calendar_id,) = self.connect(f"{self.settings.data.name}-{self._count}").calendar_ids

    def connect(self, name: str) -> Connected:
        """A new calendar of that name, connected to the member of staff."""
        self.calendar_url = self.server.make_calendar("ana", name)
        self.person = CalDavPerson(self.server, self.calendar_url, "ana")
        chosen = [ChosenCalendar(remote_id=self.calendar_url, name="Bookings", is_destination=True)]
        return connect_caldav(
            resource_id=self.resource_id, url=self.server.url, username="ana", password=self.server.users["ana"],
            chosen=chosen,
        )  # fmt: skip

    def worker(self, *, failpoint: str = "") -> Worker:
        return Worker(self.settings, failpoint=failpoint)

    def events(self) -> list[RemoteEvent]:
        """All that stands in the calendar, as its server tells."""
        calendar = self.calendar()
        account, ref = account_of(calendar.connection), calendar_ref(calendar)
        db.session.rollback()
        with provider_of(account) as provider:
            batch = provider.changes(ref, None, window=(at(-30, 0), at(90, 0)), known={})
        return sorted(batch.upserts, key=lambda event: event.start_at or at(0, 0))

    def own_events(self) -> list[RemoteEvent]:
        return [event for event in self.events() if event.mark is not None]

    def let_leases_end(self) -> None:
        """Time passes: what the dead worker had leased is free again, and what it had put off is due."""
        past = now_utc() - timedelta(seconds=1)

        def work(session: Any) -> None:
            session.execute(
                update(OutboxEntry).where(OutboxEntry.state == "todo").values(lease_until=past, next_at=past)
            )
            session.execute(update(Calendar).values(read_lease_until=past, next_read_at=past))

        transaction(work)

    def is_settled(self) -> bool:
        """Nothing is left to do in the outbox."""
        db.session.rollback()
        return db.session.query(OutboxEntry).filter_by(state="todo").count() == 0

    def was_read_since(self, moment: Any) -> bool:
        read_at = fresh(Calendar, self.calendar_id).last_read_at
        return read_at is not None and read_at > moment

    def read_now(self) -> None:
        """The next look at the calendar is due."""
        transaction(lambda s: setattr(s.get_one(Calendar, self.calendar_id), "next_read_at", now_utc()))


class GoogleHouse(House):
    """The same with a Google calendar, at the stand-in."""

    def connect(self, name: str) -> Connected:
        account = self.server.account(f"{name}@gmail.example")
        self.person = GooglePerson(account, account.email)
        return google.connect(account, self.resource_id)


def make_house(settings: Settings, server: RadicaleServer | GoogleServer) -> House:
    """On a migrated database of its own; the caller pushes the app context."""
    settings = dataclasses.replace(settings, outbound_allow=("127.0.0.1",), poll_seconds=2)
    if isinstance(server, GoogleServer):
        values = {name.lower(): value for name, value in server.environment().items() if name.startswith("GOOGLE_")}
        settings = dataclasses.replace(settings, **values)
    databases.migrate(settings)
    return (GoogleHouse if isinstance(server, GoogleServer) else House)(create_app(settings), server)


def environment(settings: Settings, *, failpoint: str = "") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKSTEP_", "REDIS_"))}
    return {
        **kept,
        "LOCKSTEP_DATA": str(settings.data),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "OUTBOUND_ALLOW": ",".join(settings.outbound_allow),
        "LOCKSTEP_POLL_SECONDS": str(settings.poll_seconds),
        **{name: getattr(settings, name.lower()) for name in NAMES if name.startswith("GOOGLE_")},
        "LOCKSTEP_FAILPOINT": failpoint,
        "LOCKSTEP_FAILPOINT_ONCE": str(settings.data / f"died-{time.monotonic_ns()}") if failpoint else "",
        "PYTHONUNBUFFERED": "1",
    }
