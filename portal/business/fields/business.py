"""The fields of the business, of its resources, and of the calendars of these. Pure."""

from __future__ import annotations

from portal.business.fields import checks
from portal.business.fields.base import Fields
from portal.business.fields.bounds import MOST_DAYS_KEPT
from portal.business.fields.kinds import Checked, Flag, Name, OneOf, Whole
from portal.language import email_address


class BusinessFields(Fields):
    """Columns of `business` by their names."""

    name = Name("Name")
    zone = Checked("Time zone", checks.zone, longest=64)
    language = Checked("Language", checks.language, longest=8, default="en")
    email = Checked("E-mail", checks.email, longest=email_address.LONGEST, default="")
    retention_days = Whole(
        "Days after the appointment",
        least=1,
        most=MOST_DAYS_KEPT,
        unit="days",
        default=None,
        hint="Leave it empty to keep them until you erase them yourself.",
    )
    confirm_by_mail = Flag("Confirm by mail")


class ResourceFields(Fields):
    """Columns of `resource` by their names."""

    slug = Checked("Address", checks.slug, longest=64, public=True)
    kind = OneOf("Kind", {"staff": "Staff", "room": "Room", "equipment": "Equipment"}, default="staff")
    name = Name("Name", public=True)
    email = Checked("E-mail", checks.email, longest=email_address.LONGEST, default="")
    zone = Checked("Time zone", checks.zone, longest=64, follows="the business's")


class CalendarRules(Fields):
    """The rules of a calendar: columns of `calendar` by their names."""

    when_moved = OneOf(
        "When somebody moves a booking's event in the calendar",
        {
            "follow": (
                "Move the booking too",
                "The customer is told the new time. If that time is taken, you are asked.",
            ),
            "ask": ("Ask us", "The booking stays where it is until somebody here has answered."),
            "put back": ("Put the event back", "The booking stands; the event returns to its time."),
        },
        radio=True,
        default="follow",
    )
    when_deleted = OneOf(
        "When somebody deletes it",
        {
            "ask": ("Ask us", "The booking stands until somebody here has answered."),
            "cancel": ("Cancel the booking", "The customer is told."),
            "put back": ("Put the event back", "The booking stands; the event is written again."),
        },
        radio=True,
        default="ask",
    )
    privacy = OneOf(
        "What events tell of customers",
        {
            "initials": (
                "The service and initials",
                "“Consultation · E. R.”, or “Yoga · 8 of 12”. Enough for most calendars.",
            ),
            "full": (
                "Names and how to reach people",
                "With e-mail, telephone, note and answers: for a calendar that only you see.",
            ),
            "busy only": (
                "Only that the time is taken",
                "Neither service nor customer nor place: for a calendar that others see, too.",
            ),
        },
        radio=True,
        default="initials",
        hint="Another choice rewrites all events to come.",
    )
    when_unreadable = OneOf(
        "When the calendar cannot be read for a while",
        {
            "pending": (
                "Take bookings, but let them wait for confirmation",
                "They are confirmed as soon as the calendar can be read again.",
            ),
            "stop": ("Offer no times", "Nobody can book until the calendar can be read again."),
            "keep": (
                "Keep offering, as last known",
                "Quick, but an event entered meanwhile may be overlooked until then.",
            ),
        },
        radio=True,
        default="pending",
    )
    freshness = Whole("“For a while” means", least=60, most=7 * 86400, unit="seconds", default=600)
