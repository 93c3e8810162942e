"""What the link of a booking is good for when a mail is written, in words: by the service's cut-offs for moving and cancelling. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from portal.language.say import say
from portal.notifications.compose.facts import BookingFacts
from portal.notifications.compose.sheet import Reader


class ManageLink:
    """`purpose` stands on the button, `small` below it; `words` are for the templates."""

    def __init__(self, booking: BookingFacts, manage_url: str, at: datetime, reader: Reader) -> None:
        self._reader, self._has_url = reader, bool(manage_url)
        self._start_at = booking.start_at
        self._move_until = booking.start_at - timedelta(minutes=booking.move_until)
        self._cancel_until = booking.start_at - timedelta(minutes=booking.cancel_until)
        self._may_move, self._may_cancel = at < self._move_until, at < self._cancel_until

    @property
    def words(self) -> dict[str, bool]:
        return {"can_change": self._may_move or self._may_cancel}

    @property
    def purpose(self) -> str:
        if self._may_move and self._may_cancel:
            return say("Move or cancel your appointment")
        if self._may_move:
            return say("Move your appointment")
        return say("Cancel your appointment") if self._may_cancel else say("See your booking")

    @property
    def small(self) -> tuple[str, ...]:
        if not self._has_url:
            return (say("To move or cancel your appointment, please get in touch with us."),)
        return (*self._deadlines(), say("The link is yours alone; whoever has it can change your booking."))

    def _deadlines(self) -> list[str]:
        move, cancel = self._reader.instant(self._move_until), self._reader.instant(self._cancel_until)
        if not self._may_move and not self._may_cancel:
            return [say("It is too late to move or cancel it online; please get in touch with us instead.")]
        if self._move_until == self._cancel_until:
            has_cut_off = self._move_until != self._start_at
            return [say("You can move or cancel it until %(when)s.", when=move)] if has_cut_off else []
        found = [say("You can move it until %(when)s.", when=move)] if self._may_move else []
        return [*found, say("You can cancel it until %(when)s.", when=cancel)] if self._may_cancel else found
