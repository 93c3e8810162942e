"""The doctor finds offers and entries that do not agree."""

from sqlalchemy import update

from portal.booking.models import Booking, Offer, WaitlistEntry
from portal.database.engine import transaction
from portal.extensions import db
from portal.upkeep.invariants import wrong_offers
from tests.operations.waitlist.house import NOW, cancel, look, make_class, offers, take, wait


def found_after(statement):
    transaction(lambda session: session.execute(statement))
    return len(list(wrong_offers(db.session())))


def test_offers_and_entries_that_do_not_agree_are_found(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    assert list(wrong_offers(db.session())) == []
    entry, offer, held = update(WaitlistEntry), update(Offer), offers()[0].booking_id
    assert found_after(entry.values(status="waiting")) == 1
    assert found_after(entry.values(status="offered")) == 0
    assert found_after(offer.values(state="lapsed")) == 1
    assert found_after(offer.values(state="open")) == 0
    assert found_after(update(Booking).where(Booking.id == held).values(status="confirmed")) == 1
    assert found_after(update(Booking).where(Booking.id == held).values(status="held")) == 0
    assert found_after(entry.where(WaitlistEntry.id == bea.entry_id).values(ended_at=NOW)) == 1
