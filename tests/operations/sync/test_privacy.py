"""How much events tell of customers is each calendar's own setting, and another setting rewrites all events to come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal import outbox
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.operations import book, cancel_booking
from portal.booking.rules import Customer
from portal.business.models import Resource, Service
from portal.calendars.connect import ChosenCalendar, connect_caldav
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.outbox import OutboxEntry
from portal.sync.account import operations
from portal.sync.outside import changes
from portal.sync.publish import publish, rewrite
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, DEFAULT_CALENDAR, Studio, at, fresh, rows


def switch(calendar_id, privacy):
    operations.set_rules(calendar_id, {"privacy": privacy}, is_busy_source=True, by="Ana")


def own_events(studio):
    return sorted((event for event in studio.events() if event.mark), key=lambda event: event.start_at)


def descriptions(studio):
    return " ".join(studio.store.drafts[event.remote_id].description for event in own_events(studio))


def make_class(studio, capacity=12):
    (resource,) = rows(Resource, Resource.id == studio.resource_id)
    return make_service([resource], duration=60, step=30, capacity=capacity, name="Yoga").slug


def join(studio, group, name, start_at, party_size=1):
    customer = Customer(name=name, email=f"{len(name)}@example.org")
    done = book(
        service_slug=group, start_at=start_at, customer=customer, idempotency_key=f"{name} {start_at}",
        party_size=party_size, now=now_utc(),
    )  # fmt: skip
    return done.booking_id


def test_a_calendar_that_was_just_connected_tells_initials_and_no_names(studio):
    studio.booked(at(2, 10))
    assert studio.own_event().summary == "Consultation · E. R."
    assert not {"Eva", "Ruiz", "eva@example.org", "600 123"} & set(descriptions(studio).split())


def test_another_setting_rewrites_every_event_to_come_and_leaves_those_that_are_over(studio, monkeypatch):
    studio.set_rule(privacy="full")
    past, near, far = (studio.booked(at(days, 10)) for days in (1, 2, 30))
    shift = timedelta(days=-3)
    transaction(lambda s: _make_past(s.get_one(Appointment, past), shift))
    switch(studio.calendar_id, "busy only")
    studio.publish_all()
    assert [event.summary for event in own_events(studio)] == ["Consultation · Eva Ruiz", "Busy", "Busy"]
    assert all(studio.link(appointment_id).state == "done" for appointment_id in (near, far))
    assert descriptions(studio).count("eva@example.org") == 1
    switch(studio.calendar_id, "initials")
    studio.publish_all()
    assert [event.summary for event in own_events(studio)][1:] == ["Consultation · E. R."] * 2


def _make_past(appointment, shift):
    for name in ("start_at", "end_at", "claim_start_at", "claim_end_at"):
        setattr(appointment, name, getattr(appointment, name) + shift)


def test_saving_the_same_setting_writes_nothing(studio):
    studio.booked(at(2, 10))
    written = studio.store.calls.count("put")
    switch(studio.calendar_id, "initials")
    studio.publish_all()
    assert studio.store.calls.count("put") == written


def test_an_event_that_is_being_written_while_the_setting_changes_is_written_again(studio, monkeypatch):
    studio.set_rule(privacy="full")
    appointment_id = studio.book(at(2, 10))
    put = type(studio.store).put

    def slow_put(store, *args, **kwargs):
        monkeypatch.undo()
        receipt = put(store, *args, **kwargs)
        switch(studio.calendar_id, "busy only")
        return receipt

    monkeypatch.setattr(type(studio.store), "put", slow_put)
    publish.publish(appointment_id)
    assert studio.own_event().summary == "Consultation · Eva Ruiz", "so it had been read before"
    studio.publish_all()
    assert studio.own_event().summary == "Busy"


def test_an_event_that_waits_for_an_answer_is_left_alone_and_rewritten_with_the_answer(studio):
    studio.set_rule(privacy="full", when_moved="ask")
    appointment_id = studio.booked(at(2, 10))
    studio.store.move_event(DEFAULT_CALENDAR, studio.own_event().remote_id, at(3, 15))
    studio.pull()
    switch(studio.calendar_id, "busy only")
    studio.publish_all()
    assert (studio.own_event().start_at, len(studio.questions())) == (at(3, 15), 1)
    studio.set_rule(when_moved="follow")
    changes.settle_link(studio.link(appointment_id).id, now=now_utc())
    studio.publish_all()
    assert (studio.own_event().start_at, studio.own_event().summary) == (at(3, 15), "Busy")
    assert (studio.link(appointment_id).state, studio.questions()) == ("done", [])


def test_a_place_that_was_told_is_taken_out_of_the_event(studio):
    transaction(lambda s: setattr(s.get_one(Service, 1), "location", "Calle de la Luna 7"))
    studio.booked(at(2, 10))
    assert studio.store.drafts[studio.own_event().remote_id].location == "Calle de la Luna 7"
    switch(studio.calendar_id, "busy only")
    studio.publish_all()
    assert studio.store.drafts[studio.own_event().remote_id].location == ""


@pytest.mark.parametrize("stricter", [0, 1])
def test_in_a_calendar_that_two_share_the_stricter_setting_counts_for_both(app, stricter):
    ana, room = (make_resource(weekly=ALL_DAY, zone="UTC") for _ in range(2))
    service = make_service([ana], [room], duration=60, step=30)
    ids = [
        make_calendar(who, remote_id=DEFAULT_CALENDAR, url="shared", zone="UTC", privacy="full").id
        for who in (ana, room)
    ]
    studio = Studio(ana.id, ids[0], service.slug, MemoryCalendars.open("shared"))
    studio.booked(at(2, 10))
    assert studio.own_event().summary == "Consultation · Eva Ruiz"
    switch(ids[stricter], "busy only")
    studio.publish_all()
    assert studio.own_event().summary == "Busy"
    assert {link.state for link in rows(EventLink)} == {"done"}


def test_connected_for_somebody_else_with_a_stricter_setting_its_events_tell_less(studio):
    studio.set_rule(privacy="full")
    studio.booked(at(2, 10))
    room = make_resource(weekly=ALL_DAY, zone="UTC")
    chosen = ChosenCalendar(remote_id=DEFAULT_CALENDAR, is_destination=True, rules={"privacy": "busy only"})
    url = studio.connection().account["url"]
    connect_caldav(resource_id=room.id, url=url, username="room", password="x", chosen=[chosen], provider="memory")
    studio.publish_all()
    assert studio.own_event().summary == "Busy"


def test_twelve_bookings_in_a_burst_are_few_writes(studio):
    group = make_class(studio)
    for number in range(12):
        join(studio, group, f"Guest {'x' * number}", at(2, 10))
    studio.publish_all()
    assert studio.own_event().summary == "Yoga · 12 of 12"
    assert studio.store.calls.count("put") == 1


def test_the_title_follows_each_seat(studio):
    group = make_class(studio)
    first = join(studio, group, "Ann Berg", at(2, 10), party_size=3)
    studio.publish_all()
    join(studio, group, "Max Cole", at(2, 10), party_size=5)
    studio.publish_all()
    assert studio.own_event().summary == "Yoga · 8 of 12"
    cancel_booking(first, by="customer", now=now_utc())
    studio.publish_all()
    assert studio.own_event().summary == "Yoga · 5 of 12"


def test_a_service_that_was_renamed_has_its_events_to_come_rewritten(studio):
    appointment_id = studio.booked(at(2, 10))

    def rename(session):
        service = session.get_one(Appointment, appointment_id).service
        service.name = "First visit"
        rewrite.rewrite_service(session, service.id)

    transaction(rename)
    studio.publish_all()
    assert studio.own_event().summary == "First visit · E. R."


def test_a_thousand_events_are_set_on_their_way_in_one_go(studio):
    """Only their rows: nothing is asked of a server before they are written, one by one."""
    appointment_id = studio.booked(at(2, 10))

    def copy(session):
        row = session.get_one(Appointment, appointment_id)
        for number in range(1, 1001):
            times = {name: getattr(row, name) + timedelta(hours=number) for name in ("start_at", "end_at")}
            more = {"claim_start_at": times["start_at"], "claim_end_at": times["end_at"]}
            other = Appointment(service_id=row.service_id, is_fixed=True, **times, **more)
            session.add(other)

    transaction(copy)
    transaction(lambda session: rewrite.rewrite_service(session, fresh(Appointment, appointment_id).service_id))
    (entry,) = rows(OutboxEntry, OutboxEntry.topic == "calendar.rewrite")
    calls = len(studio.store.calls)
    rewrite.rewrite_entry(outbox.work_of(entry))
    assert len(rows(OutboxEntry, OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo")) == 1001
    assert len(studio.store.calls) == calls


def test_an_event_leads_to_the_page_of_that_very_booking_and_a_class_s_to_its_own(sqlite_studio):
    appointment_id = sqlite_studio.booked(at(2, 10))
    (booking,) = rows(Booking, Booking.appointment_id == appointment_id)
    (event,) = own_events(sqlite_studio)
    assert f"/admin/bookings/{booking.id}\n" in f"{sqlite_studio.store.drafts[event.remote_id].description}\n"
    yoga = sqlite_studio.booked(at(3, 10), service=make_class(sqlite_studio))
    assert (
        f"/admin/appointments/{yoga}\n"
        in f"{sqlite_studio.store.drafts[own_events(sqlite_studio)[-1].remote_id].description}\n"
    )
