"""The link of a video meeting, from the calendar that makes it to everybody who comes, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage

import pytest
import time_machine
from flask import Flask
from icalendar import Calendar as ICalendar

from portal.booking import operations
from portal.booking.invitation.meetings import Meeting, meeting_for, meeting_of, without_link
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.rules import Customer
from portal.business.models import Resource
from portal.calendars.models import Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.deliver import notify_customer
from portal.sync import throttle
from portal.sync.publish.publish import publish_entry
from portal.sync.publish.rewrite import rewrite_service
from portal.worker import drain
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from providers.errors import PermissionMissing
from providers.messaging.memory import MemoryMessenger
from tests.factories import make_calendar, make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, fresh, rows
from tests.support.mails import html, invitation, memory_mail, text

EVA = "eva@example.org"
MAX = Customer(name="Max Maier", email="max@example.org")


@dataclass
class Desk:
    """The studio with a service by video, and the mails that its customers get."""

    studio: Studio
    slug: str
    messenger: MemoryMessenger

    def book(self, start_at, **more) -> int:
        return self.studio.book(start_at, service=self.slug, **more)

    def booked(self, start_at, **more) -> int:
        """A booking whose event stands and whose mail has left."""
        appointment_id = self.book(start_at, **more)
        self.studio.publish_all()
        self.mail()
        return appointment_id

    def mail(self) -> list[EmailMessage]:
        """Let the customers' mails that are due go out, as the worker does; returns those that went."""
        before = len(self.messenger.sent)
        for work in drain.claim(100, topics=("notify.customer",)):
            drain.do(work, notify_customer)
        return self.messenger.sent[before:]

    def meeting(self, appointment_id: int) -> Meeting:
        db.session.rollback()
        return meeting_of(db.session(), appointment_id, kind="google")

    def url(self) -> str:
        return self.studio.own_event().meeting_url


@pytest.fixture
def desk(app: Flask, studio: Studio) -> Iterator[Desk]:
    resource = fresh(Resource, studio.resource_id)
    service = make_service([resource], slug="call", name="Call", duration=60, step=30, meeting="google")
    yield Desk(studio, service.slug, memory_mail(app))
    del app.extensions["messenger"]


def test_an_appointment_by_video_gets_its_link_with_its_event(desk):
    appointment_id = desk.book(at(1, 10))
    assert desk.meeting(appointment_id).state == "coming"
    desk.studio.publish_all()
    assert desk.url().startswith("https://meet.example/")
    assert desk.meeting(appointment_id) == Meeting("ready", desk.url(), calendar_id=desk.studio.calendar_id)


def test_other_services_ask_for_no_meeting(desk):
    appointment_id = desk.studio.booked(at(1, 10))
    assert desk.studio.own_event().meeting_url == ""
    db.session.rollback()
    assert meeting_of(db.session(), appointment_id, kind="").state == "none"


def test_the_customer_is_mailed_the_link_when_the_event_is_written(desk):
    desk.book(at(1, 10))
    assert desk.mail() == []
    desk.studio.publish_all()
    [mail] = desk.mail()
    assert f"Video call: {desk.url()}" in text(mail)
    assert f'href="{desk.url()}"' in html(mail)
    [event] = ICalendar.from_ical(invitation(mail)).walk("VEVENT")
    assert event["LOCATION"] == desk.url()
    assert event["CONFERENCE"] == desk.url()
    assert desk.url() in event["DESCRIPTION"]


def test_the_mail_leaves_at_once_when_a_slow_link_is_made_at_last(desk):
    desk.studio.store.make_meetings_slowly()
    desk.book(at(1, 10))
    desk.studio.publish_all()
    with time_machine.travel(now_utc() + timedelta(seconds=20)):
        assert desk.mail() == []  # looked, and will look again in some seconds
        desk.studio.store.finish_meetings()
        desk.studio.pull()
        [mail] = desk.mail()  # without waiting for that
    assert desk.url() in text(mail)


def test_waiting_for_the_link_counts_as_no_failure(desk):
    desk.book(at(1, 10))
    desk.mail()
    [entry] = desk.studio.news("notify.customer")
    assert (entry.state, entry.attempts, entry.last_error) == ("todo", 0, "It waits for the link of the video meeting.")
    assert timedelta(0) < entry.next_at - now_utc() <= timedelta(seconds=1.1)  # by two clocks


def test_a_calendar_that_is_still_making_the_link_is_read_again_shortly(desk):
    desk.studio.store.make_meetings_slowly()
    desk.studio.pull()
    desk.book(at(1, 10))
    desk.studio.publish_all()
    assert desk.studio.calendar().next_read_at - now_utc() <= timedelta(seconds=2)


def test_after_a_minute_the_mail_goes_without_the_link_and_says_where_it_will_stand(desk):
    desk.studio.store.make_meetings_slowly()
    appointment_id = desk.book(at(1, 10))
    desk.studio.publish_all()
    with time_machine.travel(now_utc() + timedelta(seconds=59), tick=False):
        assert desk.mail() == []
    with time_machine.travel(now_utc() + timedelta(seconds=61), tick=False):
        [mail] = desk.mail()
    assert "The link will stand on the page of your booking; the way there is below." in text(mail)
    assert "The link will stand on the page of your booking" in html(mail)
    assert "CONFERENCE" not in invitation(mail).decode()
    desk.studio.store.finish_meetings()
    desk.studio.pull()
    [later] = desk.mail()
    assert (later["Subject"].split(":")[0], desk.url() in text(later)) == ("Changed", True)
    [event] = ICalendar.from_ical(invitation(later)).walk("VEVENT")
    assert (event["SEQUENCE"], event["CONFERENCE"]) == (1, desk.url())
    assert desk.meeting(appointment_id).state == "ready"


@pytest.mark.parametrize("state", ["paused", "needs reauth", "misconfigured"])
def test_no_mail_waits_for_a_calendar_that_waits_for_a_person(desk, state):
    def trouble(session):
        session.get_one(Connection, desk.studio.connection().id).state = state

    transaction(trouble)
    desk.book(at(1, 10))
    [mail] = desk.mail()
    assert "The link will stand on the page of your booking" in text(mail)


def test_no_mail_waits_for_an_event_that_was_refused(desk):
    desk.studio.store.fail_next("put", PermissionMissing("This calendar may not be changed."))
    desk.book(at(1, 10))
    with pytest.raises(PermissionMissing):
        desk.studio.publish_all()
    assert len(desk.mail()) == 1


def test_a_booking_in_a_calendar_that_makes_no_links_is_told_so_at_once(desk):
    def replace_provider(session):
        session.get_one(Connection, desk.studio.connection().id).provider = "caldav"

    appointment_id = desk.book(at(1, 10))
    transaction(replace_provider)
    [mail] = desk.mail()
    assert "Video call: We will let you know the link in time." in text(mail)
    assert desk.meeting(appointment_id).state == "unable"


def test_a_link_that_is_not_made_in_ten_minutes_is_promised_no_longer(desk):
    desk.studio.store.make_meetings_slowly()
    appointment_id = desk.book(at(1, 10))
    desk.studio.publish_all()
    with time_machine.travel(now_utc() + timedelta(minutes=9)):
        assert (desk.meeting(appointment_id).state, without_link(db.session(), now=now_utc())) == ("coming", 0)
    with time_machine.travel(now_utc() + timedelta(minutes=11)):
        assert (desk.meeting(appointment_id).state, without_link(db.session(), now=now_utc())) == ("unable", 1)
        desk.studio.store.finish_meetings()
        desk.studio.pull()
        assert (desk.meeting(appointment_id).state, without_link(db.session(), now=now_utc())) == ("ready", 0)


def test_a_moved_booking_keeps_its_link(desk):
    appointment_id = desk.booked(at(1, 10))
    url = desk.url()
    operations.move_booking(desk.studio.booking(appointment_id).id, at(1, 14), by="customer", now=now_utc())
    [mail] = desk.mail()
    assert url in text(mail)
    desk.studio.publish_all()
    assert (desk.url(), desk.studio.own_event().start_at) == (url, at(1, 14))
    assert desk.mail() == []


def test_a_booking_moved_in_the_calendar_keeps_its_link(desk):
    appointment_id = desk.booked(at(1, 10))
    url = desk.url()
    desk.studio.store.move_event(DEFAULT_CALENDAR, desk.studio.own_event().remote_id, at(1, 14))
    desk.studio.pull()
    assert desk.studio.appointment(appointment_id).start_at == at(1, 14)
    assert desk.meeting(appointment_id).url == url


def test_a_cancelled_booking_loses_its_link(desk):
    appointment_id = desk.booked(at(1, 10))
    url = desk.url()
    booking = desk.studio.booking(appointment_id)
    operations.cancel_booking(booking.id, by="customer", now=now_utc())
    [mail] = desk.mail()  # before the calendar knows
    assert url not in text(mail) + html(mail) + invitation(mail).decode()
    desk.studio.publish_all()
    assert desk.studio.link(appointment_id).meeting_url == ""
    assert meeting_for(db.session(), fresh(Booking, booking.id)).state == "none"


def test_a_group_has_one_link_and_who_cancelled_sees_it_no_more(desk):
    ana = fresh(Resource, desk.studio.resource_id)
    make_service([ana], slug="class", duration=60, step=30, capacity=3, meeting="google")
    first = desk.studio.book(at(1, 10), service="class")
    desk.studio.publish_all()
    outcome = operations.book(
        service_slug="class", start_at=at(1, 10), customer=MAX, idempotency_key="max-comes-too", now=now_utc()
    )
    desk.studio.publish_all()
    mails = desk.mail()
    assert {mail["To"].addresses[0].addr_spec for mail in mails} == {EVA, MAX.email}
    assert all(desk.url() in text(mail) for mail in mails)
    operations.cancel_booking(outcome.booking_id, by="customer", now=now_utc())
    desk.studio.publish_all()
    assert meeting_for(db.session(), fresh(Booking, outcome.booking_id)).state == "none"
    assert desk.meeting(first).url == desk.url()


def test_a_request_learns_the_link_when_it_is_confirmed(desk):
    ana = fresh(Resource, desk.studio.resource_id)
    make_service([ana], slug="class", duration=60, step=30, capacity=3, meeting="google")
    desk.studio.booked(at(1, 10), service="class")
    desk.mail()
    transaction(make_pending)
    [booking] = rows(Booking)
    assert meeting_for(db.session(), booking) == Meeting("coming", calendar_id=desk.studio.calendar_id)
    operations.approve_booking(booking.id, now=now_utc())
    [mail] = desk.mail()
    assert (mail["Subject"].split(":")[0], desk.url() in text(mail)) == ("Confirmed", True)


def test_an_event_that_is_put_back_has_a_new_link_and_its_customers_learn_it(desk):
    appointment_id = desk.booked(at(1, 10))
    url = desk.url()
    desk.studio.set_rule(when_deleted="put back")
    desk.studio.store.remove_event(DEFAULT_CALENDAR, desk.studio.own_event().remote_id)
    desk.studio.pull()
    assert desk.url() not in ("", url)
    [mail] = desk.mail()
    assert mail["Subject"].startswith("Changed")
    assert desk.url() in text(mail)
    assert url not in text(mail)
    assert desk.meeting(appointment_id).url == desk.url()


def test_a_link_to_an_event_that_was_deleted_is_shown_no_more(desk):
    appointment_id = desk.booked(at(1, 10))
    desk.studio.store.remove_event(DEFAULT_CALENDAR, desk.studio.own_event().remote_id)
    desk.studio.pull()
    assert len(desk.studio.questions()) == 1
    meeting = desk.meeting(appointment_id)
    assert (meeting.state, meeting.url, meeting.is_near) == ("coming", "", False)


def test_another_link_put_in_by_hand_is_told_to_the_customers(desk):
    desk.booked(at(1, 10))
    desk.studio.store.set_meeting(DEFAULT_CALENDAR, desk.studio.own_event().remote_id, "https://zoom.example/j/1")
    desk.studio.pull()
    [mail] = desk.mail()
    assert "https://zoom.example/j/1" in text(mail)
    desk.studio.pull()
    assert desk.mail() == []


@pytest.mark.parametrize("odd", ["", "http://meet.example/x", "javascript:alert(1)", 'https://x.example/"onload'])
def test_only_a_plain_https_link_counts(desk, odd):
    appointment_id = desk.booked(at(1, 10))
    desk.studio.store.set_meeting(DEFAULT_CALENDAR, desk.studio.own_event().remote_id, odd)
    desk.studio.pull()
    assert desk.studio.link(appointment_id).meeting_url == ""
    assert desk.mail() == []


def test_an_event_that_is_taken_up_again_after_connecting_anew_keeps_its_link(desk):
    appointment_id = desk.booked(at(1, 10))
    url, account = desk.url(), desk.studio.connection().account
    transaction(lambda session: session.delete(session.get_one(Connection, desk.studio.connection().id)))
    ana = fresh(Resource, desk.studio.resource_id)
    desk.studio.calendar_id = make_calendar(ana, remote_id=DEFAULT_CALENDAR, url=account["url"], zone="UTC").id
    desk.studio.pull()
    assert desk.url() == desk.meeting(appointment_id).url == url
    assert desk.mail() == []


def test_a_lost_answer_loses_no_link(desk):
    desk.studio.store.lose_answer_next()
    appointment_id = desk.book(at(1, 10))
    for work in drain.claim(10, topics=("calendar.publish",)):
        drain.do(work, publish_entry)
    assert desk.meeting(appointment_id).state == "coming"
    throttle.forget()
    with time_machine.travel(now_utc() + timedelta(seconds=30)):
        desk.studio.publish_all()
        assert desk.meeting(appointment_id).url == desk.url()
        assert len(desk.mail()) == 1


def test_turned_on_for_a_service_its_bookings_to_come_get_a_link_and_their_customers_learn_it(desk):
    appointment_id = desk.studio.booked(at(2, 10))
    desk.mail()
    assert desk.url() == ""

    def turn_on(session):
        service = session.get_one(Appointment, appointment_id).service
        service.meeting = "google"
        rewrite_service(session, service.id)

    transaction(turn_on)
    desk.studio.publish_all()
    assert desk.url().startswith("https://")
    assert desk.meeting(appointment_id).state == "ready"
    assert desk.url() in text(desk.mail()[-1])


def test_of_two_calendars_one_makes_the_meeting_and_the_other_tells_its_link(desk):
    ben, store = make_second(desk)
    appointment_id = book_together(desk, ben)
    desk.studio.publish_all()
    [event] = store.events(DEFAULT_CALENDAR)
    assert event.meeting_url == ""
    draft = store.drafts[event.remote_id]
    assert (draft.wants_meeting, draft.location) == (False, desk.url())
    assert f"Video call: {desk.url()}" in draft.description
    assert desk.meeting(appointment_id).calendar_id == desk.studio.calendar_id


def test_a_link_that_comes_late_is_brought_to_the_other_calendar(desk):
    desk.studio.store.make_meetings_slowly()
    ben, store = make_second(desk)
    book_together(desk, ben)
    desk.studio.publish_all()
    [event] = store.events(DEFAULT_CALENDAR)
    assert store.drafts[event.remote_id].location == ""
    desk.studio.store.finish_meetings()
    desk.studio.pull()
    assert store.drafts[event.remote_id].location == desk.url()
    assert {link.state for link in rows(EventLink)} == {"done"}


def test_an_appointment_that_goes_over_to_somebody_else_gets_the_link_of_their_calendar(desk):
    ben, store = make_second(desk)
    ana = fresh(Resource, desk.studio.resource_id)
    make_service([ana, ben], slug="either", duration=60, step=30, assignment="choose", meeting="google")
    appointment_id = desk.studio.book(at(1, 10), service="either", resource_slug=ana.slug)
    desk.studio.publish_all()
    desk.mail()
    first = desk.url()
    booking = desk.studio.booking(appointment_id)
    operations.move_booking(booking.id, at(1, 14), by="staff", now=now_utc(), resource_slug=ben.slug)
    assert desk.mail() == []  # the new link is being made
    desk.studio.publish_all()
    [event] = store.events(DEFAULT_CALENDAR)
    [mail] = desk.mail()
    assert event.meeting_url in text(mail)
    assert first not in text(mail)


def make_second(desk: Desk) -> tuple[Resource, MemoryCalendars]:
    ben = make_resource(weekly=ALL_DAY, zone="UTC", name="Ben", email="ben@studio.example")
    make_calendar(ben, remote_id=DEFAULT_CALENDAR, url="ben", zone="UTC")
    return ben, MemoryCalendars.open("ben")


def book_together(desk: Desk, ben: Resource) -> int:
    ana = fresh(Resource, desk.studio.resource_id)
    make_service([ana, ben], slug="together", duration=60, step=30, assignment="all", meeting="google")
    return desk.studio.book(at(1, 10), service="together")


def make_pending(session) -> None:
    session.query(Booking).one().status = "pending"
