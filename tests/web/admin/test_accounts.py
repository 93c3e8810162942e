"""What the integrations page tells of each account: state, permissions, how changes arrive, what changed while it was away, and its end."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal import outbox
from portal.booking.models import EventLink
from portal.calendars.models import Calendar, Connection, PushSubscription
from portal.clock import now_utc
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.account import disconnect, disconnecting
from portal.worker import drain
from providers.calendars.memory import MemoryCalendars
from providers.errors import Temporary
from tests.factories import make_calendar
from tests.support.people import make_user, signed_in

SCOPES = (
    "openid email https://www.googleapis.com/auth/calendar.events "
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
)
PAGE = "/admin/integrations"


@pytest.fixture(autouse=True)
def clean_slate():
    MemoryCalendars.reset()


@pytest.fixture
def google(studio):
    """Ana's Google account with one calendar; the portal has a Google project."""
    configure(studio.app, google_client_id="id", google_client_secret="secret")
    account = {"username": "ana@gmail.example", "subject": "42", "scopes": SCOPES}
    calendar = make_calendar(studio.ana, name="Work", last_read_at=now_utc() - timedelta(seconds=8))
    calendar.connection.provider, calendar.connection.account = "google", account
    db.session.commit()
    yield calendar
    configure(studio.app, google_client_id="", google_client_secret="")


def configure(app, **changes):
    app.extensions["settings"] = dataclasses.replace(app.extensions["settings"], **changes)


def text_of(page_text):
    """The page's words, without marks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page_text).split())


def fresh(model):
    db.session.rollback()
    return db.session.scalars(select(model).execution_options(populate_existing=True)).one()


def set_connection(**values):
    db.session.execute(update(Connection).values(**values))
    db.session.commit()


def link(studio, calendar, *, state="done", etag="1", who="Clara"):
    booking = studio.book(who)
    version = booking.appointment.version
    db.session.add(
        EventLink(
            appointment_id=booking.appointment_id, calendar_id=calendar.id, uid=f"u{booking.id}", remote_id=f"r{booking.id}",
            etag=etag, state=state, wanted_version=version, applied_version=version if state == "done" else 0,
        )
    )  # fmt: skip
    db.session.commit()
    return booking


def test_an_account_tells_whose_it_is_and_what_it_may(google, admin, page):
    text = text_of(page(admin, PAGE))
    assert "Google Calendar · ana@gmail.example" in text
    assert "Allowed: to see and change events, and to see the list of calendars." in text


def test_a_password_account_says_that_it_has_one(studio, admin, page):
    make_calendar(studio.ana, provider="caldav")
    assert "Signs in with a password, which is kept encrypted" in page(admin, PAGE)


def test_the_page_says_whether_changes_are_told_or_looked_for(google, admin, page):
    text = text_of(page(admin, PAGE))
    assert "Looked at every" in text
    assert "no public https address" in text
    now = now_utc()
    db.session.add(
        PushSubscription(
            calendar_id=google.id, subscription_id="s", secret_hash="", resource_id="r", created_at=now,
            confirmed_at=now, expires_at=now + timedelta(days=6),
        )
    )  # fmt: skip
    db.session.commit()
    text = text_of(page(admin, PAGE))
    assert "Google tells of changes at once" in text
    assert "Push is on until" in text


def test_google_is_refreshed_by_one_press_and_a_password_on_its_page(studio, google, admin, page):
    caldav = make_calendar(studio.ben, provider="caldav").connection_id
    text = page(admin, PAGE)
    form = rf'action="/admin/integrations/google">.*?name="connection_id" value="{google.connection_id}"'
    assert re.search(form, text, re.DOTALL)
    assert f'href="/admin/integrations/{caldav}/refresh"' in text


def test_a_google_account_that_was_signed_out_asks_for_a_sign_in_not_for_a_password(google, admin, page):
    set_connection(state="needs reauth", state_reason="Google ended the permission.", state_since=now_utc())
    text = text_of(page(admin, PAGE))
    assert "Needs a new sign-in since" in text
    assert "until you sign in again" in text
    assert "new password" not in text
    assert "needs a new sign-in" in text_of(page(admin, "/admin"))


def test_who_looks_after_one_person_connects_google_by_one_press(studio, google, admin, staff, page):
    text = page(staff, PAGE)
    assert re.search(rf'action="/admin/integrations/google">.*?name="resource_id" value="{studio.ben.id}"', text)
    text = page(admin, PAGE)
    assert 'href="/admin/integrations/google">Connect Google' in text, "who looks after several is asked whose it is"


def test_without_a_google_project_the_page_says_how_to_make_one(studio, admin, page):
    text = page(admin, PAGE)
    assert "Google calendars are not set up in this portal yet" in text
    assert 'href="/admin/integrations/google/help"' in text
    assert "Connect Google" not in text


def test_staff_see_only_their_own_accounts(studio, google, staff, page):
    make_calendar(studio.ben, name="Ben's own")
    text = page(staff, PAGE)
    assert "Ben&#39;s own" in text
    assert "ana@gmail.example" not in text
    for path in ("disconnection", "disconnection/attempt", "disconnection/end"):
        assert staff.post(f"{PAGE}/{google.connection_id}/{path}").status_code == 404
    assert staff.post(f"{PAGE}/calendars/{google.id}/meanwhile/dismissal").status_code == 404


def test_what_is_stuck_is_told_with_its_reason(studio, admin, page):
    calendar = make_calendar(studio.ana)
    link(studio, calendar, state="stuck", etag="")
    db.session.execute(update(EventLink).values(last_error="This calendar may be read but not changed."))
    db.session.commit()
    text = text_of(page(admin, PAGE))
    assert "1 could not be written" in text
    assert "Why: This calendar may be read but not changed." in text


def note(**changes):
    now = now_utc()
    event = {"start": (now + timedelta(days=2)).isoformat(), "end": (now + timedelta(days=2, hours=1)).isoformat()}
    rows = {"count": 12, "first": [{"summary": "Choir <b>", "times": 1, **event}]}
    none = {"count": 0, "first": []}
    return {
        "since": (now - timedelta(days=1)).isoformat(), "refreshed_at": now.isoformat(), "at": now.isoformat(), "waited": [],
        "new": rows, "moved": none, "gone": none, "ours": none, **changes,
    }  # fmt: skip


def noted(studio, what):
    calendar = make_calendar(studio.ana, last_read_at=now_utc())
    calendar.meanwhile = what
    db.session.commit()
    return calendar


def test_what_changed_while_it_was_away_is_told_and_dismissed(studio, admin, page):
    calendar = noted(studio, note())
    ana = signed_in(studio.app, make_user("staff", resource_id=studio.ana.id))
    assert "Choir &lt;b&gt;" in page(ana, PAGE)
    text = page(admin, PAGE)
    assert "What changed while it was away" in text
    assert "Choir" not in text, "what an event is called is for whom it belongs to"
    assert "12 new" in text
    assert "and 11 more" in text
    text = page(admin, f"{PAGE}/calendars/{calendar.id}/meanwhile/dismissal", post={})
    assert "What changed" not in text
    assert fresh(Calendar).meanwhile is None


def test_a_booking_that_waits_for_an_answer_leads_to_the_question(studio, admin, page):
    from portal.sync.models import Question

    calendar = make_calendar(studio.ana)
    booking = link(studio, calendar)
    own = {"appointment_id": booking.appointment_id, "from": now_utc().isoformat(), "to": None}
    calendar.meanwhile = note(ours={"count": 1, "first": [own]})
    db.session.add(
        Question(kind="deleted", appointment_id=booking.appointment_id, calendar_id=calendar.id, sentence="Gone.")
    )
    db.session.commit()
    text = page(admin, PAGE)
    assert re.search(r'href="/admin/questions">It waits for your answer\.', text)
    assert f'href="/admin/bookings/{booking.id}"' in text


def test_until_the_first_reading_it_looks_oftener(studio, admin, page):
    calendar = noted(studio, note(at=None))
    text = page(admin, PAGE)
    assert 'hx-trigger="every 2s"' in text
    assert "The calendar is being read" in text
    calendar.meanwhile = note()
    db.session.commit()
    assert 'hx-trigger="every 10s"' in page(admin, PAGE)


def test_disconnecting_says_how_many_events_it_is_about_and_wants_an_answer(studio, admin, page):
    calendar = make_calendar(studio.ana)
    for who in ("Clara", "Dora"):
        link(studio, calendar, who=who)
    url = f"{PAGE}/{calendar.connection_id}/disconnection"
    assert "What becomes of the 2 events of bookings to come?" in page(admin, url)
    for form in ({}, {"events": "burn"}):
        response = admin.post(url, data=form)
        assert response.status_code == 422
        assert "Please say what becomes of the events." in response.get_data(as_text=True)
    assert not fresh(Connection).leaving
    text = text_of(page(admin, url, post={"events": "take"}))
    assert "Taking away 2 events of bookings to come" in text
    assert "Read now" not in text
    connection = fresh(Connection)
    assert connection.leaving
    for act in ("pause", "reading", "writing", "resumption"):
        assert admin.post(f"{PAGE}/{connection.id}/{act}").status_code in (303, 404)
    assert fresh(Connection).state == "connected"
    assert admin.get(url).status_code == 303, "there is nothing more to ask"


def test_disconnecting_warns_of_video_calls_that_hang_on_it(studio, admin, page):
    calendar = make_calendar(studio.ana)
    link(studio, calendar)
    url = f"{PAGE}/{calendar.connection_id}/disconnection"
    assert "video call" not in page(admin, url)
    db.session.execute(update(EventLink).values(meeting_url="https://meet.google.com/abc"))
    db.session.commit()
    assert "1 booking has its video call from this calendar" in page(admin, url)


def test_leaving_the_events_ends_a_password_account_at_once(studio, admin, page):
    calendar = make_calendar(studio.ana)
    link(studio, calendar)
    url = f"{PAGE}/{calendar.connection_id}/disconnection"
    assert "The account is disconnected." in page(admin, url, post={"events": "leave"})
    db.session.rollback()
    assert db.session.scalars(select(Connection)).all() == []


def test_a_disconnection_that_fails_says_why_and_ends_by_force_after_a_day(studio, admin, page):
    calendar = make_calendar(studio.ana)
    link(studio, calendar)
    url = f"{PAGE}/{calendar.connection_id}/disconnection"
    page(admin, url, post={"events": "take"})
    MemoryCalendars.open(calendar.connection.account["url"]).fail_always(Temporary("The server is down."))
    say_farewell()
    text = text_of(page(admin, PAGE))
    assert "It did not work yet The server is down." in text
    assert "Disconnect anyway" not in text
    assert "Please let it try for a day" in page(admin, f"{url}/end", post={})
    db.session.execute(update(OutboxEntry).values(created_at=now_utc() - outbox.STUCK_AFTER))
    db.session.commit()
    assert "Disconnect anyway" in page(admin, PAGE)
    assert "is not disconnected yet" in page(admin, "/admin")
    assert "tries it again now" in page(admin, f"{url}/attempt", post={})
    assert "is disconnected" in page(admin, f"{url}/end", post={})
    db.session.rollback()
    assert db.session.scalars(select(Connection)).all() == []


def say_farewell():
    db.session.rollback()
    for work in drain.claim(5, topics=[disconnecting.TOPIC]):
        drain.do(work, disconnect.farewell)
