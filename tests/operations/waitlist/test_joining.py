"""Who may wait for what."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.booking.fixed import dates
from portal.booking.models import WaitlistEntry
from portal.booking.operations import Customer
from portal.business.models import Resource, ServiceQuestion
from portal.errors import Invalid, NotFound, Refused, RepeatedDifferently, SlotFree
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.waitlist import joining
from portal.waitlist.steps import entry_token
from tests.factories import make_resource, make_service
from tests.operations.waitlist.house import (
    NOW,
    TEN,
    add_date,
    book,
    cancel,
    entry,
    guest,
    make_class,
    news,
    take,
    wait,
    waitlist,
)

MONDAY = date(2027, 3, 1)
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)


def full_day(**values):
    """A service with two half hours on Monday, both taken."""
    ana = make_resource(weekly={0: [(9 * 60, 10 * 60)]})
    service = make_service([ana], has_waitlist=True, **values)
    for minutes, name in ((0, "Eva"), (30, "Ivo")):
        start_at = NINE + timedelta(minutes=minutes)
        book(service_slug=service.slug, start_at=start_at, customer=guest(name), idempotency_key=name, now=NOW)
    return service


def join(service, name="Bea", *, wish="day", wish_on=MONDAY, party_size=1, **more):
    return waitlist.join(
        service_slug=service.slug, wish=wish, wish_on=wish_on, customer=more.pop("customer", guest(name)),
        party_size=party_size, idempotency_key=more.pop("key", f"{name}-{wish}-{wish_on}"), now=NOW, **more,
    )  # fmt: skip


def test_joining_makes_an_entry_with_a_link_of_its_own_and_tells_of_it(app):
    klass = make_class(1)
    take(klass, "Eva")
    joined = wait(klass, "Bea")
    row = entry(joined)
    assert (row.status, row.start_at, row.appointment_id, row.sequence) == ("waiting", TEN, klass.id, 1)
    assert entry_token(row) == joined.token
    assert joined.token not in (row.token_hash, row.sealed_token)
    assert news() == [("joined", "")]


def test_what_can_be_booked_needs_no_waiting(app):
    klass = make_class(2)
    take(klass, "Eva")
    with pytest.raises(SlotFree) as refusal:
        wait(klass, "Bea")
    assert [slot.interval.start for slot in refusal.value.nearest] == [TEN]
    wait(klass, "Bea", party_size=2)


def test_a_free_time_on_the_day_is_named_instead(app):
    service = make_service(has_waitlist=True)
    with pytest.raises(SlotFree) as refusal:
        join(service)
    assert [slot.interval.start for slot in refusal.value.nearest] == [
        NINE + timedelta(minutes=30 * n) for n in range(3)
    ]


def test_a_full_day_its_week_and_any_day_can_be_waited_for(app):
    service = full_day(horizon=6)
    assert entry(join(service)).wish_on == MONDAY
    assert entry(join(service, wish="week")).wish == "week"
    assert entry(join(service, wish="any", wish_on=None)).wish_on is None


def test_one_address_waits_once_for_the_same(app):
    klass = make_class(1)
    take(klass, "Eva")
    first = wait(klass, "Bea")
    again = wait(klass, "BEA", key="another", party_size=1)
    assert (again.entry_id, again.is_repeat) == (first.entry_id, True)
    waitlist.leave(first.token, now=NOW)
    assert entry(wait(klass, "Bea", key="again")).status == "waiting"


def test_a_class_that_was_moved_is_still_the_same_and_one_at_its_old_time_is_another(app):
    moved = make_class(1)
    take(moved, "Eva")
    first = wait(moved, "Bea")
    dates.move_appointment(moved.id, TEN + timedelta(hours=3), by="staff", now=NOW)
    db.session.rollback()
    assert wait(moved, "Bea", key="after the move").entry_id == first.entry_id
    other = add_date(moved.service, db.session.get(Resource, moved.resources[0].resource_id), start_at=TEN, capacity=1)
    take(other, "Leo")
    assert wait(other, "Bea", key="the other").entry_id != first.entry_id


def test_who_joins_again_is_mailed_the_link_again_but_no_mailbox_is_filled(app):
    klass = make_class(1)
    take(klass, "Eva")
    for key in range(6):
        wait(klass, "Bea", key=f"{key}")
    assert [told["news"] for told in told_of("Bea")] == ["joined"] * joining.MOST_MAILS


def test_who_joins_again_while_something_is_offered_is_mailed_the_offer_again(app):
    klass = make_class(1)
    booking_id = take(klass, "Eva")
    wait(klass, "Bea")
    cancel(booking_id)
    [offer_id] = waitlist.look(klass.service_id, cause="cancelled", now=NOW)
    wait(klass, "Bea", key="again")
    assert [(told["news"], told["offer_id"]) for told in told_of("Bea")][1:] == [("offered", offer_id)] * 2


def told_of(name):
    db.session.rollback()
    waits = db.session.scalars(select(WaitlistEntry).filter_by(customer_email=guest(name).email)).one()
    rows = select(OutboxEntry).filter_by(topic="notify.waitlist", subject=f"entry:{waits.id}")
    return [row.payload for row in db.session.scalars(rows.order_by(OutboxEntry.id))]


def test_a_repeated_request_gives_the_same_place(app):
    klass = make_class(1)
    take(klass, "Eva")
    first = wait(klass, "Bea", key="one")
    again = wait(klass, "Bea", key="one")
    assert (again.entry_id, again.token, again.is_repeat) == (first.entry_id, first.token, True)
    with pytest.raises(RepeatedDifferently):
        wait(klass, "Leo", key="one")
    assert db.session.scalar(select(func.count(WaitlistEntry.id))) == 1


def test_without_a_waitlist_nobody_waits(app):
    klass = make_class(1, has_waitlist=False)
    take(klass, "Eva")
    with pytest.raises(Refused):
        wait(klass, "Bea")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"wish": "sometime"}, "wish"),
        ({"wish_on": None}, "wish_on"),
        ({"wish_on": date(2027, 2, 27)}, "wish_on"),
        ({"wish_on": date(2028, 1, 1)}, "wish_on"),
        ({"wish_on": date(2027, 3, 2)}, "wish_on"),
        ({"wish": "appointment"}, "appointment_start_at"),
        ({"wish": "appointment", "appointment_start_at": NINE + timedelta(minutes=7)}, "appointment_start_at"),
        ({"party_size": 2}, "party_size"),
        ({"party_size": 0}, "party_size"),
    ],
)
def test_what_can_never_come_true_is_refused_with_its_field(app, values, field):
    service = full_day()
    with pytest.raises(Invalid) as error:
        join(service, **values)
    assert list(error.value.fields) == [field]
    assert db.session.scalar(select(func.count(WaitlistEntry.id))) == 0


def test_a_time_at_which_nothing_stands_cannot_be_waited_for(app):
    klass = make_class(1)
    with pytest.raises(Invalid):
        wait(klass, "Bea", appointment_start_at=TEN + timedelta(hours=1))


def test_a_person_can_be_wished_for_if_they_can_be_chosen(app):
    service = full_day()
    person = service.needs[0].resource_id
    slug = db.session.get(Resource, person).slug
    assert entry(join(service, resource_slug=slug)).resource_id == person
    with pytest.raises(NotFound):
        join(service, "Leo", resource_slug="nobody")


def test_the_customer_and_the_answers_are_checked_as_for_a_booking(app):
    service = full_day()
    service.location_kind = "phone"
    service.questions.append(ServiceQuestion(name="level", label="Level", kind="number", is_required=True))
    db.session.commit()
    with pytest.raises(Invalid) as error:
        join(service)
    assert set(error.value.fields) == {"phone", "answer-level"}
    customer = Customer("Bea", "bea@example.org", phone="+34 600 123 456")
    joined = join(service, customer=customer, answers={"level": "3"}, note="Please ring twice.")
    row = entry(joined)
    assert (row.answers, row.note, row.customer_phone) == ({"level": 3}, "Please ring twice.", "+34 600 123 456")
