"""What can go wrong in the domain. Pure; raised by operations and rules, shown by routes and the API.

::

    PortalError              code (for programs), sentence (for people), http_status
    ├── NotFound             404  no such thing, or not yours to see
    ├── Invalid              422  something typed does not fit; `fields` says what and where
    ├── Refused              409  the rules say no
    │   ├── SlotTaken            somebody was quicker, or the time is not offered; `nearest` holds other slots
    │   ├── HoldExpired          the time was kept too long
    │   ├── TooLate              after the cut-off for moving or cancelling
    │   ├── LimitReached         this customer has as many bookings to come as the service allows
    │   ├── SlotFree             no need to wait for it: it can be booked; `nearest` holds slots
    │   ├── BudgetSpent          429  asked for too often, or too much at once, by somebody who has not shown yet that they are there
    │   ├── OutsideEvent         an event of a calendar stands over the time of a request; `events` are those known
    │   ├── OfferOver            the seats offered from the waitlist are not to be had any more; `why` says what became of them
    │   ├── NotAllowedNow        this status does not permit it (already cancelled, already over)
    │   └── RepeatedDifferently  the same idempotency key with other content
    ├── Stale                409  what a form showed has been changed meanwhile; `changed` names what
    └── TryAgain             503  the database was too busy, five times over
        └── NotYet               something else has to come first; `after` seconds until the next look
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PortalError(Exception):
    """`str(error)` is a sentence for the person concerned: what happened, what it means, what to do."""

    code = "error"
    http_status = 500


class NotFound(PortalError):
    code = "not_found"
    http_status = 404


class Invalid(PortalError):
    """`fields` maps the name of a field to what is wrong with it."""

    code = "invalid"
    http_status = 422

    def __init__(self, sentence: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.fields = dict(fields or {})


class Refused(PortalError):
    code = "refused"
    http_status = 409


class SlotTaken(Refused):
    """`nearest` holds up to three availability slots near the wanted time; filled in by the operation that raises it."""

    code = "slot_taken"

    def __init__(self, sentence: str, *, nearest: Sequence[Any] = ()) -> None:
        super().__init__(sentence)
        self.nearest = list(nearest)


class HoldExpired(Refused):
    code = "hold_expired"


class TooLate(Refused):
    code = "too_late"


class LimitReached(Refused):
    code = "limit_reached"


class SlotFree(Refused):
    """`nearest` holds up to three slots that can be booked in place of waiting."""

    code = "slot_free"

    def __init__(self, sentence: str, *, nearest: Sequence[Any] = ()) -> None:
        super().__init__(sentence)
        self.nearest = list(nearest)


class BudgetSpent(Refused):
    code = "budget_spent"
    http_status = 429


class OutsideEvent(Refused):
    """`events` are the outside events over the time (`portal.booking.time.outside_events.Over`), by time."""

    code = "outside_event"

    def __init__(self, sentence: str, *, events: Sequence[Any] = ()) -> None:
        super().__init__(sentence)
        self.events = list(events)


class OfferOver(Refused):
    """`why` is accepted, declined, lapsed, left, removed, over, withdrawn or none (there never was an offer)."""

    code = "offer_over"

    def __init__(self, sentence: str, *, why: str) -> None:
        super().__init__(sentence)
        self.why = why


class NotAllowedNow(Refused):
    code = "not_allowed_now"


class RepeatedDifferently(Refused):
    code = "idempotency_mismatch"


class Stale(PortalError):
    """Not one of the refusals: nothing speaks against it but that whoever sent it has not seen how things stand now."""

    code = "stale"
    http_status = 409

    def __init__(self, sentence: str, *, changed: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.changed = list(changed)


class TryAgain(PortalError):
    code = "try_again"
    http_status = 503


class NotYet(TryAgain):
    """Raised by handlers of outbox entries that wait for something: the attempt does not count as failed."""

    def __init__(self, sentence: str, *, after: float) -> None:
        super().__init__(sentence)
        self.after = after
