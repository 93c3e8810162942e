"""Which instance id names what, before and after restores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from portal.instance.names import InstanceIds
from portal.notifications.gather.history import booking_key, reminder_key
from portal.outbox import Work
from portal.sync.event.desired import derived_uid

NOON = datetime(2027, 1, 5, 12, tzinfo=UTC)
TWICE = InstanceIds(
    "first",
    (
        {"id": "second", "after": 10, "since": NOON.isoformat()},
        {"id": "third", "after": 20, "since": (NOON + timedelta(days=1)).isoformat()},
    ),
)


def test_an_appointment_keeps_the_name_under_which_it_was_made():
    assert [TWICE.of(number) for number in (1, 10, 11, 20, 21)] == ["first", "first", "second", "second", "third"]
    assert InstanceIds("first").of(7) == "first"


def test_a_second_restore_of_the_same_backup_names_its_bookings_anew():
    again = InstanceIds(
        "first",
        ({"id": "a", "after": 10, "since": NOON.isoformat()}, {"id": "b", "after": 10, "since": NOON.isoformat()}),
    )
    assert (again.of(11), again.of(10), again.knows("a")) == ("b", "first", True)


def test_the_same_number_has_another_remote_id_after_a_restore():
    before, after = InstanceIds("first"), InstanceIds("first", TWICE.later[:1])
    assert derived_uid(before.of(11), 11, 1) != derived_uid(after.of(11), 11, 1)
    assert derived_uid(before.of(10), 10, 1) == derived_uid(after.of(10), 10, 1)


def test_mails_about_the_same_number_have_another_message_id_after_a_restore():
    for key in (booking_key, reminder_key):
        old, new = (key(TWICE, _work(at), "carla@example.org") for at in (NOON - timedelta(hours=1), NOON))
        assert old != new
        assert old == key(InstanceIds("first"), _work(NOON), "carla@example.org")


def _work(created_at: datetime) -> Work:
    payload = {"news": "booked", "sequence": 0, "lead": 60, "start_at": "then"}
    return Work(
        entry_id=1, topic="notify.customer", subject="booking:7", payload=payload, attempts=1, created_at=created_at
    )
