"""The customer's own copy of a booking as iCalendar: in our mails, and for download from the manage page. Pure.

What stands here, and why:

- METHOD (RFC 5546 3.2): REQUEST when a booking is made or moved, CANCEL when it is called off; the newest SEQUENCE wins in the customer's
  calendar. PUBLISH for the download, which is nobody's invitation.
- The UID names the booking, for ever: a move changes the entry that the customer has, it does not add one (RFC 5545 3.8.4.7).
- ATTENDEE is the customer alone, since nobody may learn who else comes, and has accepted already: the portal asks for no answer, so
  RSVP is FALSE. ORGANIZER is the business's mail address, as iTIP demands (RFC 5546 3.2.2); Gmail and Outlook ignore requests without it.
  PUBLISH must not name attendees (RFC 5546 3.2.1).
- The link of a video meeting stands in the text, which every client shows, and as CONFERENCE (RFC 7986 5.11), which some make a button of.
- Times are in UTC (RFC 5545 3.3.5, form 2). One appointment is one instant, which every client shows in its owner's zone; a VTIMEZONE would
  only matter for repeated events, and Outlook mistakes made-up ones.

Built with icalendar alone, which escapes and folds; no line is put together by hand.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from portal.language.say import say

if TYPE_CHECKING:  # at run time when it is needed: its import takes a tenth of a second of every start
    from icalendar import STATUS, Event, vCalAddress

Method: TypeAlias = Literal["REQUEST", "CANCEL", "PUBLISH"]
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PRODUCT = "-//Lockstep//Booking portal//EN"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerEvent:
    """One customer's booking as their calendar shall show it.

    `stamped_at` is when this state came about: of two entries with the same SEQUENCE the later one counts (RFC 5546 2.1.5), and a
    mail that is sent again must hold the same bytes. `manage_url` is a right, so it goes only into the customer's own copy.
    """

    instance_id: str
    public_id: str
    sequence: int
    start_at: datetime
    end_at: datetime
    stamped_at: datetime
    summary: str
    organizer_name: str
    organizer_email: str
    customer_name: str = ""
    customer_email: str = ""
    description: str = ""
    location: str = ""
    meeting_url: str = ""
    manage_url: str = ""
    is_tentative: bool = False


def customer_ics(event: CustomerEvent, *, method: Method) -> bytes:
    """The whole VCALENDAR, UTF-8 with CRLF line ends."""
    from icalendar import Calendar

    calendar = Calendar()  # Calendar.new would add a random UID, and a mail sent again must be the same
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(_vevent(event, method))
    return bytes(calendar.to_ical())


def customer_uid(instance_id: str, public_id: str) -> str:
    """The UID of a booking: the same in every mail and download, and no other booking's anywhere."""
    return hashlib.sha256(f"{instance_id}/{public_id}".encode()).hexdigest()[:40] + "@lockstep"


def _vevent(event: CustomerEvent, method: Method) -> Event:
    from icalendar import Conference, Event

    vevent = Event.new(
        uid=customer_uid(event.instance_id, event.public_id),
        sequence=event.sequence,
        stamp=event.stamped_at.astimezone(UTC).replace(microsecond=0),
        start=event.start_at.astimezone(UTC),
        end=event.end_at.astimezone(UTC),
        summary=_one_line(event.summary),
        description=_without_control(event.description) or None,
        location=_one_line(event.location) or None,
        status=_status(event, method),
        organizer=_address(event.organizer_email, name=event.organizer_name),
        url=event.manage_url or None,
    )
    vevent.add("transp", "OPAQUE")
    if event.meeting_url:
        vevent.conferences = [Conference(event.meeting_url, feature="VIDEO", label=say("Video call"))]
    if method != "PUBLISH":
        vevent.attendees = [_attendee(event)]
    return vevent


def _status(event: CustomerEvent, method: Method) -> STATUS:
    from icalendar import STATUS

    if method == "CANCEL":
        return STATUS.CANCELLED
    return STATUS.TENTATIVE if event.is_tentative else STATUS.CONFIRMED


def _attendee(event: CustomerEvent) -> vCalAddress:
    from icalendar import vCalAddress

    return vCalAddress.new(
        _mail_address(event.customer_email),
        cn=_parameter(event.customer_name) or None,
        cutype="INDIVIDUAL",
        role="REQ-PARTICIPANT",
        partstat="ACCEPTED",
        rsvp=False,
    )


def _address(email: str, *, name: str) -> vCalAddress:
    from icalendar import vCalAddress

    return vCalAddress.new(_mail_address(email), cn=_parameter(name) or None)


def _mail_address(email: str) -> str:
    """Forms refuse white space and control characters in addresses; whatever got past them must not break the mail."""
    return "".join(_without_control(email).split())


def _parameter(text: str) -> str:
    """A parameter's value may hold no double quotes (RFC 5545 3.2); an apostrophe reads the same."""
    return _one_line(text).replace('"', "’")


def _one_line(text: str) -> str:
    return " ".join(_without_control(text).split())


def _without_control(text: str) -> str:
    """Line ends and tabs are kept; other control characters and lone surrogates may not stand in TEXT (RFC 5545 3.3.11)."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
