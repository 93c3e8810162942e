"""The suite can be run as if it were another day: the moments, and that every process and database believes it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.moments import MOMENTS, by_turns, environment, next_moment

NOW = datetime(2026, 11, 30, 21, 30, tzinfo=UTC)
SAYS_THE_TIME = """
import datetime as dt
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session
from portal.clock import now_utc
from portal.database.engine import database_clock, database_now
with Session(create_engine("sqlite://")) as session:
    inside = dt.datetime.fromisoformat(str(session.scalar(select(text(str(database_clock().compile(session.get_bind()))))))).replace(tzinfo=dt.UTC)
    print(now_utc().isoformat(), database_now(session).isoformat(), inside.isoformat())
"""


@pytest.mark.parametrize(
    ("name", "instant"),
    [
        ("new-years-eve", "2026-12-31T22:30"),
        ("end-of-february", "2027-02-28T22:30"),
        ("leap-day", "2028-02-29T19:00"),
        ("first-of-a-month", "2026-11-30T23:05"),
        ("sunday-evening", "2026-12-06T20:00"),
        ("spring-in-madrid", "2027-03-28T00:30"),
        ("autumn-in-madrid", "2027-10-30T23:30"),
        ("spring-in-new-york", "2027-03-14T06:30"),
        ("autumn-in-new-york", "2027-11-07T05:30"),
        ("summer-night", "2027-07-03T21:40"),
        ("end-of-a-month", "2026-12-31T21:30"),
    ],
)
def test_a_moment_is_the_next_one_of_its_name(name: str, instant: str) -> None:
    assert next_moment(name, now=NOW) == datetime.fromisoformat(f"{instant}:00+00:00")


def test_continuous_integration_takes_one_of_them_at_a_time() -> None:
    assert by_turns() in MOMENTS


def test_every_process_and_its_database_believe_it() -> None:
    now = datetime.now(UTC)
    moment = now + timedelta(days=40)
    said = subprocess.run(
        [sys.executable, "-c", SAYS_THE_TIME],
        env=environment(moment, now=now),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(said) == 3
    for instant in said:
        assert timedelta(0) <= datetime.fromisoformat(instant) - moment < timedelta(seconds=60)
