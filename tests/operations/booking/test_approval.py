"""Bookings that staff approve: who may answer, once, and what may come in between; and how many bookings one customer may have."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.booking import operations
from portal.booking.models import Booking, Claim
from portal.booking.operations import Customer
from portal.booking.time.queries import free_slots
from portal.business.models import Service
from portal.errors import Invalid, LimitReached, NotAllowedNow, Refused, TooLate
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from tests.factories import ask, make_calendar, make_resource, make_service
from tests.operations.booking.test_races import in_processes

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)  # a Monday; Madrid is an hour ahead
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
HALF = timedelta(minutes=30)
EVA = Customer(name="Eva Sanz", email="eva@example.org")


def book(service, start_at=NINE, *, customer=EVA, **more):
    key = f"key-{start_at.isoformat()}-{customer.email}"
    values = {"customer": customer, "idempotency_key": key, "now": NOW, **more}
    return operations.book(service_slug=service.slug, start_at=start_at, **values)


def confirm(service, start_at=NINE, *, customer=EVA, **more):
    hold = operations.place_hold(service_slug=service.slug, start_at=start_at, now=NOW)
    return operations.confirm_hold(hold.token, customer, idempotency_key=f"hold-{hold.token}", now=NOW, **more)


def found(outcome):
    db.session.rollback()
    return db.session.get(Booking, outcome.booking_id)


def news():
    """What customers are told, in order."""
    db.session.rollback()
    told = select(OutboxEntry).where(OutboxEntry.topic == "notify.customer").order_by(OutboxEntry.id)
    return [entry.payload["news"] for entry in db.session.scalars(told)]


def is_free(service, start_at=NINE):
    db.session.rollback()
    return bool(free_slots(db.session(), service, window=Interval(start_at, start_at + HALF), now=NOW))


@pytest.mark.parametrize("way", [book, confirm])
def test_a_request_waits_for_staff_and_owns_its_time(app, way):
    service = make_service(needs_approval=True)
    outcome = way(service)
    assert (outcome.status, found(outcome).pending_reason) == ("pending", "approval")
    assert not is_free(service)
    assert news() == ["pending"]
    topics = set(db.session.scalars(select(OutboxEntry.topic)))
    assert "calendar.publish" not in topics


def test_an_approved_request_is_a_booking_and_everybody_is_told(app):
    outcome = book(make_service(needs_approval=True))
    operations.approve_booking(outcome.booking_id, now=NOW)
    booking = found(outcome)
    assert (booking.status, booking.pending_reason, booking.confirmed_at) == ("confirmed", "", NOW)
    assert news() == ["pending", "approved"]
    assert "calendar.publish" in set(db.session.scalars(select(OutboxEntry.topic)))


def test_a_refused_request_frees_its_time_and_is_offered_to_who_waits(app):
    service = make_service(needs_approval=True, has_waitlist=True)
    outcome = book(service)
    operations.refuse_booking(outcome.booking_id, now=NOW)
    assert found(outcome).status == "cancelled"
    assert is_free(service)
    look = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "waitlist.look")).one()
    assert (look.subject, look.payload) == (f"service:{service.id}", {"cause": "refused"})


@pytest.mark.parametrize("has_waitlist", [True, False])
def test_whatever_frees_seats_has_the_waitlist_looked_at_where_there_is_one(app, has_waitlist):
    service = make_service(has_waitlist=has_waitlist)
    moved, cancelled = book(service), book(service, NINE + HALF)
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE + 2 * HALF, now=NOW)
    operations.move_booking(moved.booking_id, NINE + 3 * HALF, by="customer", now=NOW)
    operations.cancel_booking(cancelled.booking_id, by="staff", now=NOW)
    operations.release_hold(hold.token)
    operations.release_hold(hold.token)
    db.session.rollback()
    looks = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "waitlist.look").order_by(OutboxEntry.id))
    causes = [entry.payload["cause"] for entry in looks]
    assert causes == (["moved", "cancelled", "released"] if has_waitlist else [])


def test_a_second_answer_is_refused_with_a_sentence(app):
    service = make_service(needs_approval=True)
    approved, refused = book(service), book(service, NINE + HALF)
    operations.approve_booking(approved.booking_id, now=NOW)
    operations.refuse_booking(refused.booking_id, now=NOW)
    with pytest.raises(NotAllowedNow, match="confirmed already"):
        operations.refuse_booking(approved.booking_id, now=NOW)
    with pytest.raises(NotAllowedNow, match="confirmed already"):
        operations.approve_booking(approved.booking_id, now=NOW)
    with pytest.raises(NotAllowedNow, match="cancelled already"):
        operations.approve_booking(refused.booking_id, now=NOW)
    assert news() == ["pending", "pending", "approved", "refused"]


def test_a_request_that_moved_meanwhile_is_not_approved_unseen(app):
    outcome = book(make_service(needs_approval=True))
    seen = found(outcome).sequence
    operations.move_booking(outcome.booking_id, NINE + HALF, by="customer", now=NOW)
    for answer in (operations.approve_booking, operations.refuse_booking):
        with pytest.raises(NotAllowedNow, match="look at it again"):
            answer(outcome.booking_id, now=NOW, sequence=seen)
    assert found(outcome).status == "pending"
    operations.approve_booking(outcome.booking_id, now=NOW, sequence=found(outcome).sequence)
    assert found(outcome).appointment.start_at == NINE + HALF


def test_a_pull_confirms_no_request_that_waits_for_staff(app):
    ana = make_resource()
    calendar = make_calendar(ana, when_unreadable="pending", last_read_at=None)
    service = make_service([ana], needs_approval=True)
    outcome = book(service)
    calendar.last_read_at = NOW
    db.session.commit()
    assert operations.settle_pending(ana.id, now=NOW) == []
    db.session.commit()
    assert found(outcome).status == "pending"


def test_what_a_customer_moves_after_the_yes_is_a_request_again(app):
    service = make_service(needs_approval=True)
    outcome = book(service)
    operations.approve_booking(outcome.booking_id, now=NOW)
    operations.move_booking(outcome.booking_id, NINE + HALF, by="customer", now=NOW)
    booking = found(outcome)
    assert (booking.status, booking.pending_reason, booking.confirmed_at) == ("pending", "approval", None)
    assert news() == ["pending", "approved", "pending"]
    assert is_free(service)


@pytest.mark.parametrize("by", ["staff", "calendar"])
def test_what_staff_move_after_the_yes_stays_confirmed(app, by):
    outcome = book(make_service(needs_approval=True))
    operations.approve_booking(outcome.booking_id, now=NOW)
    operations.move_booking(outcome.booking_id, NINE + HALF, by=by, now=NOW)
    assert found(outcome).status == "confirmed"


def test_a_request_that_nobody_answered_is_refused_at_its_start_and_the_customer_told(app):
    service = make_service(needs_approval=True)
    late, early = book(service), book(service, NINE + HALF)
    assert operations.refuse_unanswered(now=NINE - timedelta(seconds=1)) == []
    assert operations.refuse_unanswered(now=NINE) == [late.booking_id]
    assert operations.refuse_unanswered(now=NINE) == []
    assert (found(late).status, found(late).cancelled_by) == ("cancelled", "portal")
    assert found(early).status == "pending"
    told = db.session.scalars(
        select(OutboxEntry).where(OutboxEntry.topic == "notify.customer").order_by(OutboxEntry.id)
    )
    assert {"news": "refused", "by": "portal", "reason": "unanswered"}.items() <= list(told)[-1].payload.items()
    assert db.session.scalar(select(func.count()).select_from(Claim)) == 6  # the early one's


def test_what_waits_for_a_calendar_is_left_to_staff(app):
    """The customer believed it booked, and may have come."""
    ana = make_resource()
    make_calendar(ana, when_unreadable="pending", last_read_at=None)
    outcome = book(make_service([ana]))
    assert (outcome.status, found(outcome).pending_reason) == ("pending", "calendar")
    assert operations.refuse_unanswered(now=NINE + HALF) == []
    operations.approve_booking(outcome.booking_id, now=NINE + HALF)


def test_a_request_cannot_be_approved_once_its_time_has_begun(app):
    outcome = book(make_service(needs_approval=True))
    with pytest.raises(NotAllowedNow, match="not answered in time"):
        operations.approve_booking(outcome.booking_id, now=NINE)


def test_a_request_can_be_taken_back_after_the_cut_off_and_what_was_approved_cannot(app):
    service = make_service(needs_approval=True, cancel_until=1440, move_until=1440)
    first, second = book(service), book(service, NINE + HALF)
    operations.move_booking(first.booking_id, NINE + 2 * HALF, by="customer", now=NOW)
    operations.cancel_booking(first.booking_id, by="customer", now=NOW)
    operations.approve_booking(second.booking_id, now=NOW)
    for act in (
        lambda: operations.cancel_booking(second.booking_id, by="customer", now=NOW),
        lambda: operations.move_booking(second.booking_id, NINE, by="customer", now=NOW),
    ):
        with pytest.raises(TooLate):
            act()


def answer(number, booking_id):
    """Every third approves, refuses, or cancels as the customer."""
    acts = (
        lambda: operations.approve_booking(booking_id, now=NOW),
        lambda: operations.refuse_booking(booking_id, now=NOW),
        lambda: operations.cancel_booking(booking_id, by="customer", now=NOW),
    )
    try:
        acts[number % 3]()
    except NotAllowedNow:
        return "refused"
    return ("approved", "refused it", "cancelled")[number % 3]


def test_of_many_answers_at_once_one_counts(app):
    service_id = make_service(needs_approval=True).id
    for round_ in range(4):
        outcome = book(db.session.get(Service, service_id), NINE + round_ * HALF)
        told = Counter(in_processes(app, 6, answer, outcome.booking_id))
        service = db.session.get(Service, service_id)
        booking = found(outcome)
        # a customer may still cancel what was approved a moment before; twice is the same as once
        assert told["approved"] + told["refused it"] <= 1
        assert booking.status == ("confirmed" if told["approved"] and not told["cancelled"] else "cancelled")
        assert is_free(service, NINE + round_ * HALF) == (booking.status == "cancelled")
        is_refused = "refused it" in told
        assert booking.cancelled_by == ("" if booking.status == "confirmed" else "staff" if is_refused else "customer")


@pytest.mark.parametrize("way", [book, confirm])
def test_a_customer_has_as_many_bookings_to_come_as_the_service_allows(app, way):
    service = make_service(per_customer=2)
    book(service)
    confirm(service, NINE + HALF, customer=Customer("Eva", "EVA@Example.org"))
    with pytest.raises(LimitReached, match="2 bookings to come"):
        way(service, NINE + 2 * HALF)
    assert way(service, NINE + 3 * HALF, customer=Customer("Ivo", "ivo@example.org")).status == "confirmed"


def test_only_bookings_to_come_of_that_service_count(app):
    ana = make_resource()
    service, other = make_service([ana], per_customer=1), make_service([ana])
    book(other, NINE + HALF)
    first = book(service)
    with pytest.raises(LimitReached):
        book(service, NINE + 2 * HALF)
    operations.cancel_booking(first.booking_id, by="customer", now=NOW)
    second = book(service, NINE + 2 * HALF)
    assert book(service, NINE + 4 * HALF, now=NINE + 3 * HALF).status == "confirmed"
    assert found(second).status == "confirmed"


def test_a_request_that_waits_counts_and_a_hold_does_not(app):
    service = make_service(per_customer=1, needs_approval=True)
    operations.place_hold(service_slug=service.slug, start_at=NINE + HALF, now=NOW)
    book(service)
    with pytest.raises(LimitReached, match="one booking to come"):
        book(service, NINE + 2 * HALF)


def test_the_hold_stays_when_the_limit_is_reached(app):
    """The customer may give another address, or let it go."""
    service = make_service(per_customer=1)
    book(service, NINE + 2 * HALF)
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    with pytest.raises(LimitReached):
        operations.confirm_hold(hold.token, EVA, idempotency_key="key-1", now=NOW)
    assert operations.confirm_hold(hold.token, Customer("Ivo", "ivo@example.org"), idempotency_key="key-2", now=NOW)


def test_moving_is_no_new_booking(app):
    service = make_service(per_customer=1)
    outcome = book(service)
    operations.move_booking(outcome.booking_id, NINE + HALF, by="customer", now=NOW)
    assert found(outcome).appointment.start_at == NINE + HALF


def want_another(number, slug, tokens, email):
    """Each with another person: half of them confirm holds, half book at once."""
    eva = Customer("Eva Sanz", email)
    try:
        if number < len(tokens):
            operations.confirm_hold(tokens[number], eva, idempotency_key=f"{email}-{number}", now=NOW)
        else:
            operations.book(
                service_slug=slug, start_at=NINE, customer=eva, idempotency_key=f"{email}-{number}", now=NOW, resource_slug=f"person-{number}"
            )  # fmt: skip
    except LimitReached:
        return "refused"
    return "won"


def test_a_race_does_not_get_round_the_limit_of_a_customer(app):
    slug = make_service([make_resource(slug=f"person-{number}") for number in range(8)], per_customer=1).slug
    for round_ in range(3):
        holds = [
            operations.place_hold(service_slug=slug, start_at=NINE, now=NOW, resource_slug=f"person-{number}")
            for number in range(4)
        ]
        tokens = [hold.token for hold in holds]
        told = Counter(in_processes(app, 8, want_another, slug, tokens, f"eva{round_}@example.org"))
        assert told == {"won": 1, "refused": 7}
        for token in tokens:
            operations.release_hold(token)
        for booking in db.session.scalars(select(Booking).where(Booking.status == "confirmed")).all():
            operations.cancel_booking(booking.id, by="staff", now=NOW)


def test_the_same_call_twice_at_the_limit_is_one_booking(app):
    service = make_service(per_customer=1)
    first = book(service)
    again = book(service)
    assert (again.booking_id, again.is_repeat) == (first.booking_id, True)


@pytest.mark.parametrize("way", [book, confirm])
def test_answers_are_checked_and_kept_with_the_booking(app, way):
    service = make_service()
    ask(service, "allergies", is_required=True)
    ask(service, "guests", kind="number")
    db.session.rollback()
    with pytest.raises(Invalid) as error:
        way(service, customer=Customer("", "eva@example.org"), answers={"guests": "x", "other": ""})
    assert set(error.value.fields) == {"name", "answer-allergies", "answer-guests", "answer-other"}
    outcome = way(service, NINE + HALF, answers={"allergies": " none ", "guests": "3"})
    assert found(outcome).answers == {"allergies": "none", "guests": 3}


@pytest.mark.parametrize("way", [book, confirm])
def test_who_is_called_must_say_their_number(app, way):
    service = make_service(location_kind="phone")
    with pytest.raises(Invalid) as error:
        way(service)
    assert list(error.value.fields) == ["phone"]
    assert (
        way(service, NINE + HALF, customer=Customer("Eva", "eva@example.org", phone="+34 600 123 456")).status
        == "confirmed"
    )


def test_a_service_can_be_closed_while_requests_wait(app):
    service = make_service(needs_approval=True)
    outcome = book(service)
    db.session.get(Service, service.id).is_active = False
    db.session.commit()
    operations.approve_booking(outcome.booking_id, now=NOW)
    with pytest.raises(Refused):
        operations.approve_booking(outcome.booking_id, now=NOW)
