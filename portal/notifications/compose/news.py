"""What is worth a mail when its turn comes. Pure; asked by `portal.notifications.deliver` once per person.

Mails leave one by one, in order, sometimes late: the mail server was down, the worker slept. The world has gone on meanwhile, and a mail that
was true when it was written down would only confuse. So:

- When newer news of the same booking is waiting, or was told already, the older one is dropped: the newest tells the whole present state.
- News that no longer fits the booking's status is dropped.
- Nothing about a start that is over, save that it was called off, or moved there from a time at which the person would still come.
- Who never heard of the booking hears of it as new ("booked"), even when it was moved since; who did hear of it reads the
  times from the last time told to the present one, over all steps between.
- "Connected again" goes only to those who were told of the trouble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

_STATUSES = {
    "confirm": ("held",),
    "booked": ("confirmed",),
    "approved": ("confirmed",),
    "pending": ("pending",),
    "moved": ("confirmed", "pending"),
    "cancelled": ("cancelled",),
    "refused": ("cancelled",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened to a booking, and whether this person was told of it. `by` is customer, staff or calendar; `reason` says more
    where that is not enough: "unanswered" of a request that nobody answered in time."""

    news: str
    by: str = "customer"
    reason: str = ""
    previous_start_at: datetime | None = None
    was_told: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """No mail, and why. `is_too_late`: there was something to say, but it came to nothing while it made sense."""

    reason: str
    is_too_late: bool = False


def what_to_tell(
    current: News, *, earlier: Sequence[News], has_later: bool, status: str, start_at: datetime, now: datetime
) -> News | Silence:
    """The news as this person should read it now. `earlier` is everything recorded before, oldest first."""
    if has_later:
        return Silence("newer news of the same booking takes its place")
    if status not in _STATUSES[current.news]:
        return Silence(f"the booking is {status} meanwhile")
    if current.news in ("cancelled", "refused"):
        return current
    if start_at <= now and not _is_still_expected(current, earlier, now=now):
        return Silence("the start is over", is_too_late=True)
    if _never_heard_of_it(current, earlier):
        return replace(current, news="pending" if status == "pending" else "booked", previous_start_at=None)
    return _with_missed_moves(current, _untold(earlier))


def is_reminder_due(
    *, status: str, wants_reminders: bool, start_at: datetime, meant_for: datetime, has_later: bool, now: datetime
) -> Silence | None:
    """None when the reminder may go out. `meant_for` is the start that it was queued for; `has_later`: another one of that start waits behind it."""
    if status != "confirmed":
        return Silence(f"the booking is {status} meanwhile")
    if start_at != meant_for:
        return Silence("the appointment has another time meanwhile")
    if start_at <= now:
        return Silence("the start is over", is_too_late=True)
    if has_later:
        return Silence("a later reminder takes its place")
    return None if wants_reminders else Silence("the customer wants no reminders")


def is_worth_telling(state: str, *, earlier: Sequence[tuple[str, bool]], has_later: bool) -> bool:
    """Whether a change of a connection's state deserves a mail. `earlier` holds (state, was told), oldest first."""
    if has_later or state == "paused":  # whoever paused it knows
        return False
    if state == "connected" and earlier:
        return next((name for name, was_told in reversed(earlier) if was_told), "connected") != "connected"
    return True  # with nothing on record, the trouble was so long ago that its entry is forgotten


def _is_still_expected(current: News, earlier: Sequence[News], *, now: datetime) -> bool:
    """The booking was taken away from a time to come, of which the person knows."""
    previous = _with_missed_moves(current, _untold(earlier)).previous_start_at
    return previous is not None and previous > now and not _never_heard_of_it(current, earlier)


def _never_heard_of_it(current: News, earlier: Sequence[News]) -> bool:
    """Every booking begins with a first news. Where that is no longer on record it was told long ago, since only what is done is forgotten."""
    begins_here = any(news.news in ("booked", "pending") for news in (*earlier, current))
    return begins_here and not any(news.was_told for news in earlier)


def _with_missed_moves(current: News, untold: Sequence[News]) -> News:
    """When moves were dropped before this news, it becomes a move from the time that the person still has in mind."""
    moves = [news for news in (*untold, current) if news.news == "moved"]
    if not moves:
        return current
    return replace(moves[-1], previous_start_at=moves[0].previous_start_at)


def _untold(earlier: Sequence[News]) -> list[News]:
    """What was recorded since the person was last told anything, oldest first."""
    missed: list[News] = []
    for news in reversed(earlier):
        if news.was_told:
            break
        missed.insert(0, news)
    return missed
