"""An event that is stuck is written once a person asks for another try."""

from __future__ import annotations

from sqlalchemy import select

from portal.clock import now_utc
from portal.extensions import db
from portal.notifications.retrying import retry
from portal.outbox import OutboxEntry
from portal.sync.publish import publish
from portal.worker import drain
from providers.errors import PermissionMissing
from tests.operations.sync.conftest import Studio, at


def work_through() -> None:
    while works := drain.claim(10, topics=("calendar.publish",)):
        for work in works:
            drain.do(work, publish.publish_entry)


def test_a_stuck_event_is_written_when_it_is_tried_again(studio: Studio):
    studio.store.fail_next("put", PermissionMissing("This calendar may not be written."))
    appointment_id = studio.book(at(2, 10))
    work_through()
    assert studio.link(appointment_id).state == "stuck"
    [stuck] = db.session.scalars(select(OutboxEntry.id).where(OutboxEntry.state == "stuck")).all()
    db.session.rollback()
    retry([stuck], now=now_utc())
    work_through()
    assert studio.link(appointment_id).state == "done"
    assert len(studio.events()) == 1
    db.session.rollback()
    assert db.session.get_one(OutboxEntry, stuck).state == "done"
