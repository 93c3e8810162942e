"""A request that staff approve, by page or API: what they knowingly confirm over an outside event is told in the ledger, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from portal.booking.models import Booking
from portal.booking.operations import approve_booking
from portal.booking.time.outside_events import Over
from portal.database.engine import read_transaction
from portal.sync import ledger
from portal.sync.outside import unknown
from portal.sync.sentences import moment


def approve(booking_id: int, *, now: datetime, by: str, over: bool = False, sequence: int | None = None) -> None:
    """`by` names who approves. Raises OutsideEvent unless `over` says that they want it all the same, NotAllowedNow, NotFound."""

    def note(session: Session, booking: Booking, events: Sequence[Over]) -> None:
        first, more = events[0], len(events) - 1
        where = f" in the calendar “{first.calendar}”" if first.calendar else ""
        others = f" and {more} more" if more else ""
        sentence = (
            f"{by} confirmed a request over an event{where}, {moment(session, first.start_at)}{others}, knowing of it."
        )
        ledger.write(session, "confirmed over", sentence, appointment_id=booking.appointment_id)

    approve_booking(booking_id, now=now, sequence=sequence, over=over, note=note)
    booked = read_transaction(lambda session: session.get_one(Booking, booking_id).appointment_id)
    unknown.take_up_request(booked, now=now)
