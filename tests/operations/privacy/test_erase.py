"""Erasing one customer: afterwards nothing in the database, in its file, or among the mails tells of them; the rest of the world stands."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import timedelta
from email.message import EmailMessage

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking import operations
from portal.booking.models import Appointment, Booking, EventLink, Seat, WaitlistEntry
from portal.calendars.models import Calendar, UnknownBooking
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import Erasure, MailedCode
from portal.database.engine import transaction
from portal.errors import NotFound, NotYet
from portal.extensions import db
from portal.instance.ids import instance_ids
from portal.notifications.models import Mail, Reminder
from portal.outbox import OutboxEntry
from portal.privacy import erase, forget
from portal.privacy.export import export_customer
from portal.sync.event.desired import derived_uid
from portal.sync.models import LedgerLine
from portal.sync.publish.publish import publish
from portal.sync.pull.pull import pull
from portal.upkeep.invariants import invariants
from portal.waitlist import operations as waitlist
from providers.calendars.base import EventMark
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_calendar
from tests.operations.customers.people import a_booking, a_service
from tests.support import mails

ADDRESS = "Quillmarker@Example.org"
MARKERS = ("quillmarker", "zsofia quill", "555 0199", "notemarker", "answermarker")
CUSTOMER = {"name": "Zsofia Quill", "phone": "555 0199", "note": "notemarker", "answers": {"allergies": "answermarker"}}


@pytest.fixture
def folder(app, tmp_path):
    """Mails are kept as files in a folder of the test."""
    kept = app.extensions["settings"]
    app.extensions["settings"] = dataclasses.replace(kept, data=tmp_path)
    app.extensions.pop("messenger", None)
    (tmp_path / "mail").mkdir()
    yield tmp_path / "mail"
    app.extensions["settings"] = kept


def everything(app, folder):
    """All that is stored, as one text: each row of each table, the kept mails, and with SQLite the file itself with its journal."""
    db.session.rollback()
    parts = []
    for table in db.metadata.sorted_tables:
        parts += [
            json.dumps(dict(row), default=str, ensure_ascii=False)
            for row in db.session.execute(select(table)).mappings()
        ]
    db.session.rollback()
    parts += [path.read_bytes().decode("utf-8", "replace") for path in folder.iterdir()]
    parts += [path.name for path in folder.iterdir()]
    if db.engine.dialect.name == "sqlite":
        file = db.engine.url.database
        for suffix in ("", "-wal"):
            with open(file + suffix, "rb") as content:
                parts.append(content.read().decode("latin-1"))
    return "\n".join(parts).lower()


def traces(app, folder):
    text = everything(app, folder)
    return [marker for marker in MARKERS if marker in text]


def run(email=ADDRESS, *, is_told=False):
    erasure_id = erase.begin(email, is_told=is_told, user_id=None, now=now_utc())
    erase.carry_on(erasure_id, now=now_utc())
    return erasure_id


def a_life(**more):
    """Somebody with bookings past, to come and cancelled, a place on a waitlist, a code, and mails about all that."""
    a_service("yoga", capacity=1, has_waitlist=True)
    with time_machine.travel(now_utc() - timedelta(days=20)):
        past = a_booking(ADDRESS, **CUSTOMER)
        mails.deliver_all()
    coming = a_booking(ADDRESS.lower(), **CUSTOMER)
    gone = a_booking(ADDRESS, days=3, **CUSTOMER)
    operations.cancel_booking(gone.id, by="customer", now=now_utc())
    other = a_booking("eva@example.org", "Eva Other", slug="yoga", days=4)
    joined = waitlist.join(
        service_slug="yoga", wish="appointment", appointment_start_at=other.appointment.start_at, party_size=1,
        customer=operations.Customer(CUSTOMER["name"], ADDRESS, phone=CUSTOMER["phone"], note="notemarker"),
        idempotency_key="waits", now=now_utc(), answers=CUSTOMER["answers"],
    )  # fmt: skip
    codes.ask_for_code(ADDRESS, client="192.0.2.1", language="en", now=now_utc())
    mails.deliver_all()
    db.session.rollback()
    return {"past": past.id, "coming": coming.id, "gone": gone.id, "other": other.id, "entry": joined.entry_id}


def test_nothing_that_is_stored_tells_of_an_erased_customer_any_more(app, folder):
    ids = a_life()
    assert traces(app, folder) == list(MARKERS)
    assert any("eva@example.org" in path.read_text(errors="replace") for path in folder.iterdir())
    run()
    assert traces(app, folder) == []
    assert "eva@example.org" in everything(app, folder)
    assert any("eva@example.org" in path.read_text(errors="replace") for path in folder.iterdir())
    assert db.session.get(Booking, ids["other"]).customer_name == "Eva Other"
    assert invariants(db.session()) == []


def test_what_was_booked_stays_as_a_place_without_a_person(app, folder):
    ids = a_life()
    run()
    db.session.rollback()
    past, coming, gone = (db.session.get(Booking, ids[name]) for name in ("past", "coming", "gone"))
    assert (past.status, coming.status, gone.status) == ("confirmed", "cancelled", "cancelled")
    assert (past.customer_name, past.customer_email, past.answers, past.manage_hash, past.idempotency_key) == (
        "",
        "",
        {},
        None,
        None,
    )
    assert db.session.get(WaitlistEntry, ids["entry"]).status == "left"
    assert db.session.scalars(select(Seat.booking_id).where(Seat.booking_id == ids["coming"])).all() == []
    assert db.session.scalars(select(Reminder).where(Reminder.booking_id.in_([ids["past"], ids["coming"]]))).all() == []
    erasure = db.session.scalars(select(Erasure)).one()
    assert (erasure.reason, erasure.bookings, erasure.entries, erasure.sealed_email) == ("asked", 3, 1, None)


def test_in_silence_nobody_is_mailed(app, folder):
    a_life()
    before = len(list(folder.iterdir()))
    run(is_told=False)
    assert mails.deliver_all() == []
    assert len(list(folder.iterdir())) <= before
    assert db.session.scalars(select(Mail).where(Mail.kind == "cancelled", Mail.recipient != "")).all() == []


def test_a_customer_who_is_told_gets_the_cancellation_before_the_address_is_forgotten(app, folder):
    ids = a_life()
    messenger = mails.memory_mail(app)
    erasure_id = erase.begin(ADDRESS, is_told=True, user_id=None, now=now_utc())
    with pytest.raises(NotYet):
        erase.carry_on(erasure_id, now=now_utc())
    db.session.rollback()
    assert db.session.get(Booking, ids["coming"]).status == "cancelled"
    assert db.session.get(Booking, ids["coming"]).customer_email
    mails.deliver_all()
    told = mails.to(messenger.sent, ADDRESS.lower()) + mails.to(messenger.sent, ADDRESS)
    assert any("ancel" in message["Subject"] for message in told)
    erase.carry_on(erasure_id, now=now_utc())
    assert traces(app, folder) == []
    app.extensions.pop("messenger")


def test_mails_that_cannot_leave_keep_an_erasure_waiting_for_a_day_at_most(app, folder):
    a_life()
    erasure_id = erase.begin(ADDRESS, is_told=True, user_id=None, now=now_utc())
    with pytest.raises(NotYet):
        erase.carry_on(erasure_id, now=now_utc())
    with time_machine.travel(now_utc() + timedelta(days=1, minutes=1)):
        erase.carry_on(erasure_id, now=now_utc())
    assert traces(app, folder) == []


def test_while_it_waits_the_address_is_kept_encrypted_alone(app, folder):
    a_life()
    erasure_id = erase.begin(ADDRESS, is_told=True, user_id=None, now=now_utc())
    db.session.rollback()
    row = db.session.get(Erasure, erasure_id)
    assert ADDRESS.lower() not in (row.sealed_email or "").lower()
    entry = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "customer.erase")).one()
    assert (entry.subject, entry.payload) == (f"erasure:{erasure_id}", {})


@pytest.mark.parametrize("place", ["forget_bookings", "forget_entries", "forget_titles"])
def test_whoever_dies_in_between_begins_again_and_finishes(app, folder, monkeypatch, place):
    a_life()
    erasure_id = erase.begin(ADDRESS, is_told=False, user_id=None, now=now_utc())

    def die(*_args, **_values):
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(forget, place, die)
        with pytest.raises(RuntimeError):
            erase.carry_on(erasure_id, now=now_utc())
    assert traces(app, folder) != []
    for _ in range(2):
        erase.carry_on(erasure_id, now=now_utc())
    assert traces(app, folder) == []


def test_many_bookings_go_in_batches_and_a_stop_between_them_is_made_good(app, folder, monkeypatch):
    for day in range(1, 8):
        a_booking(ADDRESS, days=day, **CUSTOMER)
    monkeypatch.setattr(forget, "BATCH", 2)
    erasure_id = erase.begin(ADDRESS, is_told=False, user_id=None, now=now_utc())
    real, calls = erase._empty_a_batch, []

    def twice(*args):
        calls.append(args)
        if len(calls) == 3:
            raise RuntimeError("killed between two batches")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(erase, "_empty_a_batch", twice)
        with pytest.raises(RuntimeError):
            erase.carry_on(erasure_id, now=now_utc())
    erase.carry_on(erasure_id, now=now_utc())
    db.session.rollback()
    assert db.session.get(Erasure, erasure_id).bookings == 7
    assert traces(app, folder) == []


def test_it_waits_while_a_mail_about_the_customer_is_just_leaving(app, folder):
    a_booking(ADDRESS, **CUSTOMER)
    works = mails.claim()
    with pytest.raises(NotYet):
        run()
    for work in works:
        mails.deliver(work)
    erasure_id = db.session.scalars(select(Erasure.id)).one()
    erase.carry_on(erasure_id, now=now_utc())
    assert traces(app, folder) == []


def test_a_visit_and_a_code_end_with_it(app, folder):
    a_booking(ADDRESS, **CUSTOMER)
    name = codes.ask_for_code(ADDRESS, client="192.0.2.1", language="en", now=now_utc())
    code = codes.code_of(db.session.scalars(select(MailedCode)).one())
    token = codes.use_code(name, code, now=now_utc())
    second = codes.ask_for_code(ADDRESS, client="192.0.2.1", language="en", now=now_utc())
    code = codes.code_of(db.session.scalars(select(MailedCode).order_by(MailedCode.id.desc())).first())
    run()
    assert codes.address_of_visit(token, now=now_utc()) is None
    with pytest.raises(codes.CodeRefused):
        codes.use_code(second, code, now=now_utc())


def test_who_books_again_afterwards_is_a_new_customer(app, folder):
    a_booking(ADDRESS, **CUSTOMER)
    run()
    booking = a_booking(ADDRESS, "Zsofia Quill", days=2)
    assert len(export_customer(db.session(), ADDRESS, now=now_utc())["bookings"]) == 1
    assert booking.customer_email == ADDRESS


def test_an_address_about_which_nothing_is_stored_is_not_found(app, folder):
    for email in ("nobody@example.org", "", "a\x00b@example.org"):
        with pytest.raises(NotFound):
            erase.begin(email, is_told=True, user_id=None, now=now_utc())


def test_calendars_are_written_anew_without_the_name_those_of_the_past_too(app, folder):
    service = a_service()
    ana = service.needs[0].resource_id
    from portal.business.models import Resource

    calendar = make_calendar(
        db.session.get(Resource, ana), privacy="full", remote_id="calendar", last_read_at=now_utc()
    )
    store = MemoryCalendars.open(calendar.connection.account["url"])
    with time_machine.travel(now_utc() - timedelta(days=20)):
        past = a_booking(ADDRESS, **CUSTOMER)
        publish(past.appointment_id)
    coming = a_booking(ADDRESS, days=2, **CUSTOMER)
    publish(coming.appointment_id)
    noted = {
        "new": {"count": 1, "first": [{"summary": "Consultation · Zsofia Quill", "start": "x", "end": "y", "times": 1}]}
    }
    transaction(lambda s: setattr(s.get_one(Calendar, calendar.id), "meanwhile", noted))
    assert len([event for event in store.events() if "Zsofia Quill" in event.summary]) == 2
    run()
    assert traces(app, folder) == []
    due = db.session.scalars(
        select(OutboxEntry.subject).where(OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo")
    )
    assert {f"appointment:{past.appointment_id}", f"appointment:{coming.appointment_id}"} <= set(due)
    for appointment_id in (past.appointment_id, coming.appointment_id):
        publish(appointment_id)
    assert {event.summary for event in store.events()} == {"Consultation"}
    standing = [str(store.drafts[event.remote_id]).lower() for event in store.events()]
    assert [marker for marker in MARKERS if marker in " ".join(standing)] == []
    link = db.session.scalars(select(EventLink).where(EventLink.appointment_id == past.appointment_id)).one()
    assert (link.state, link.applied_version) == ("done", db.session.get(Appointment, past.appointment_id).version)
    assert link.etag  # the event of the past stands, without a name


@pytest.mark.parametrize("has_bookings", [True, False])
def test_a_booking_that_the_backup_does_not_know_tells_of_them_no_longer(app, folder, has_bookings):
    calendar, _store = a_calendar()
    if has_bookings:
        with time_machine.travel(now_utc() - timedelta(days=20)):
            a_booking(ADDRESS, **CUSTOMER)
    titled = unknown_row(calendar, 1, "Consultation · Zsofia Quill", "")
    addressed = unknown_row(calendar, 2, "Consultation · Z. Q.", "Zsofia\nquillmarker@example.org\n555 0199")
    other = unknown_row(calendar, 3, "Consultation · Eva Ruiz", "Eva Ruiz")
    run()
    db.session.expire_all()
    told = {
        i: bool((row := db.session.get_one(UnknownBooking, i)).summary or row.description)
        for i in (titled, addressed, other)
    }
    assert told == {titled: not has_bookings, addressed: False, other: True}  # a name alone is known by bookings alone
    assert {row.answered_at for row in db.session.scalars(select(UnknownBooking))} == {None}


def test_what_was_emptied_is_not_told_again_by_the_next_reading(app, folder):
    calendar, store = a_calendar()
    mark = EventMark(instance_id=instance_ids(db.session()).first, appointment_id=77, generation=0)
    start = (now_utc() + timedelta(days=3)).replace(microsecond=0)
    title, uid = "Consultation · quillmarker@example.org", derived_uid(mark.instance_id, 77, 0)
    store.add_event("calendar", title, start, start + timedelta(hours=1), uid=uid, mark=mark)
    db.session.rollback()
    pull(calendar.id)
    assert [row.summary for row in db.session.scalars(select(UnknownBooking))] == [title]
    run()
    pull(calendar.id, is_complete=True)
    db.session.expire_all()
    assert [(row.summary, row.answered_at) for row in db.session.scalars(select(UnknownBooking))] == [("", None)]


def a_calendar():
    from portal.business.models import Resource

    ana = db.session.get(Resource, a_service().needs[0].resource_id)
    calendar = make_calendar(ana, remote_id="calendar")
    return calendar, MemoryCalendars.open(calendar.connection.account["url"])


def unknown_row(calendar, number, summary, description):
    row = UnknownBooking(
        calendar_id=calendar.id, remote_id=str(number), instance_id="former", appointment_no=number,
        start_at=now_utc() + timedelta(days=3), end_at=now_utc() + timedelta(days=4),
    )  # fmt: skip
    row.tell(summary, description)
    db.session.add(row)
    db.session.commit()
    return row.id


def test_the_ledger_names_nobody(app, folder):
    a_life()
    run()
    db.session.rollback()
    lines = db.session.scalars(select(LedgerLine)).all()
    assert not [line for line in lines if "quill" in f"{line.sentence} {line.details}".lower()]


def test_the_data_can_be_taken_out_before(app, folder):
    a_life()
    found = export_customer(db.session(), ADDRESS.upper(), now=now_utc())
    text = json.dumps(found).lower()
    assert [marker for marker in MARKERS if marker not in text] == []
    assert len(found["bookings"]) == 3
    assert len(found["waitlist"]) == 1
    assert {row["kind"] for row in found["mails"]} >= {"booked", "cancelled"}
    assert next(row["source"] for row in found["mails"] if row["kind"] == "booked" and row["to"] != "staff").startswith(
        ("From", "To", "MIME", "Subject")
    )
    assert "eva@example.org" not in text
    assert "eva other" not in text
    session: Session = db.session()
    for secret in session.scalars(select(Booking.manage_hash)):
        assert secret is None or secret not in text
    assert not re.search(r"/(b|w|u|setup|holds|mine)/[\w-]{20,}", json.dumps(found))


def test_no_link_and_no_code_in_the_export_opens_anything(app, folder):
    """Whatever the mail says, and however its letters are encoded: what stands in the files is a right, and the export is not."""
    a_life()
    at = now_utc()
    link, code = "/b/tokenMARKER0123456789-_x", "123 456"
    for kind, text in (("booked", f"Ändern: https://x.example{link} – tschüß"), ("code", f"Ihr Code – {code}")):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "b@example.org", ADDRESS, "Größe"
        mail["List-Unsubscribe"] = "<https://x.example/u/tokenMARKER0123456789>"
        mail.set_content(text, cte="base64")
        mail.add_alternative(f"<a href='https://x.example{link}'>x</a>", subtype="html")
        (folder / f"{kind}.eml").write_bytes(mail.as_bytes())
        transaction(
            lambda s, k=kind: s.add(
                Mail(message_id=f"<{k}@x>", kind=k, recipient=ADDRESS, subject="x", file_name=f"{k}.eml", created_at=at)
            )
        )
    found = export_customer(db.session(), ADDRESS, now=at)["mails"]
    sources = {
        kind: "".join(row["source"] or "" for row in found if row["kind"] == kind) for kind in ("booked", "code")
    }
    assert "https://x.example/b/… – tschüß" in sources["booked"]
    assert "tokenMARKER" not in json.dumps(sources)
    assert code not in sources["code"]


def test_an_open_offer_ends_with_it_and_its_seats_are_free(app, folder):
    service = a_service("yoga", capacity=1, has_waitlist=True)
    full = a_booking("eva@example.org", "Eva Other", slug="yoga", days=3)
    joined = waitlist.join(
        service_slug="yoga", wish="appointment", appointment_start_at=full.appointment.start_at, party_size=1, now=now_utc(),
        customer=operations.Customer("Zsofia Quill", ADDRESS), idempotency_key="waits",
    )  # fmt: skip
    operations.cancel_booking(full.id, by="customer", now=now_utc())
    waitlist.look(service.id, cause="cancelled", now=now_utc())
    db.session.rollback()
    assert db.session.get(WaitlistEntry, joined.entry_id).status == "offered"
    assert len(db.session.scalars(select(Seat)).all()) == 1
    run()
    assert traces(app, folder) == []
    assert db.session.scalars(select(Seat)).all() == []
    assert db.session.get(WaitlistEntry, joined.entry_id).status == "left"
    db.session.rollback()
    assert invariants(db.session()) == []


def test_mails_to_staff_about_several_and_errors_that_name_the_address_go_too(app, folder):
    """A question to staff names all customers of a class; a mail server's refusal repeats the address."""
    booking = a_booking(ADDRESS, **CUSTOMER)
    mails.deliver_all()
    named = folder / "20261121T100000000-question-0a1b2c3d.eml"
    other = folder / "20261121T100000000-question-0a1b2c3e.eml"
    named.write_text("Subject: Please decide\nTo: ana@studio.example\n\nYoga with Eva Other and Zsofia Quill\n")
    other.write_text("Subject: Please decide\nTo: ana@studio.example\n\nYoga with Eva Other\n")

    def refused(session):
        values = {"kind": "question", "recipient": "ana@studio.example", "state": "failed", "created_at": now_utc()}
        session.add(
            Mail(message_id="q", subject="Zsofia Quill was moved", last_error=f"550 no {ADDRESS.lower()}", **values)
        )
        late = OutboxEntry(topic="notify.staff", subject=f"booking:{booking.id}", last_error=f"550 <{ADDRESS}>")
        late.payload, late.state = {"news": "cancelled", "by": "customer", "sequence": 9}, "stuck"
        session.add(late)

    transaction(refused)
    run()
    assert traces(app, folder) == []
    assert (named.exists(), other.exists()) == (False, True)
    kept = db.session.scalars(select(Mail).where(Mail.message_id == "q")).one()
    assert (kept.subject, kept.last_error, kept.recipient) == ("", None, "ana@studio.example")


def test_somebody_who_books_while_it_runs_is_forgotten_with_that_booking(app, folder, monkeypatch):
    a_booking(ADDRESS, **CUSTOMER)
    real, late = erase._empty_a_batch, []

    def and_book(*args):
        done = real(*args)
        if not late:
            late.append(a_booking(ADDRESS, days=5, **CUSTOMER).id)
        return done

    monkeypatch.setattr(erase, "_empty_a_batch", and_book)
    run()
    assert traces(app, folder) == []
    assert db.session.get(Booking, late[0]).status == "cancelled"
