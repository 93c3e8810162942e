"""The fields of a service and of its questions. Pure."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validates_schema

from portal.business.fields import checks
from portal.business.fields.base import Fields
from portal.business.fields.bounds import MOST_SEATS
from portal.business.fields.faults import Fault
from portal.business.fields.kinds import Checked, Choices, Flag, Length, Lengths, Minutes, Name, OneOf, Text, Whole
from providers.kinds import KINDS

_MEETINGS = {
    "": "None",
    **{kind.name: f"{kind.meeting_name} link for each appointment" for kind in KINDS.values() if kind.meeting_name},
}


class ServiceFields(Fields):
    """Columns of `service` by their names. Minutes, unless something else is said."""

    slug = Checked(
        "Address", checks.service_slug, longest=64, hint="The last part of its link. Left empty, it is made of the name.", public=True,
    )  # fmt: skip
    name = Name("Name", public=True, asks="Please give the service a name.")
    description = Text("Description", longest=2000, lines=True, default="", public=True)
    location_kind = OneOf(
        "Where",
        {
            "": "Not said",
            "on-site": "At a place",
            "online": "Online",
            "phone": "By phone: we call, and ask for the number",
        },
        default="",
        public=True,
        told="With “phone”, the customer's telephone number is required.",
    )
    location = Text("Place or link", longest=300, default="", public=True)
    price = Text(
        "Price", longest=100, default="", hint="Shown as you write it.", public=True, told="As it is shown; nothing is computed with it.",
    )  # fmt: skip
    meeting = OneOf(
        "Video call",
        _MEETINGS,
        default="",
        public=True,
        told="Who makes the link of the video meeting, where the service is one.",
    )
    is_active = Flag(
        "Can be booked", default=True, hint="Without this the service is closed; what is booked stays booked."
    )
    is_hidden = Flag(
        "Only for those who have the link", key="hidden", hint="Not in the list of services, nor in that of the API."
    )
    timing = OneOf(
        "Times",
        {
            "slots": ("Free times", "Customers choose among all times at which everybody needed is free."),
            "fixed": ("Fixed dates", "You set single dates or a weekly series, each with its seats."),
        },
        radio=True,
        default="slots",
        public=True,
        told="“slots”: any free time; “fixed”: appointments at times that staff have set.",
    )
    duration = Minutes(
        "Takes (minutes)", least=5, step=5, begins=30, public=True, told="Minutes, as are step and notice."
    )
    step = Minutes("Offered every (minutes)", least=5, step=5, follows="duration", begins=30, public=True)
    buffer_before = Minutes("Kept free before (minutes)", step=5, default=0)
    buffer_after = Minutes("Kept free after (minutes)", step=5, default=0)
    notice = Length(
        "Book at the latest before the start", default=0, begins=60, hint="Such as 2 hours or 1 day.", public=True
    )
    horizon = Whole(
        "Book at most so many days ahead", least=1, most=730, unit="days", default=60, public=True, told="Days."
    )
    assignment = OneOf(
        "If several give it",
        {
            "choose": ("One of them, and customers may choose", "Or take anyone."),
            "any": "One of them, whoever is free",
            "all": ("All of them together", "Only times at which everybody is free are offered."),
        },
        radio=True,
        default="choose",
        public=True,
    )
    capacity = Whole(
        "Seats", least=1, most=MOST_SEATS, default=1, public=True,
        hint="How many people can come to one appointment. Each date can be given another number.",
    )  # fmt: skip
    needs_approval = Flag(
        "Ask us first", key="approval", public=True, told="Bookings are pending until staff say yes or no.",
        hint="Bookings wait, and keep their time, until one of you says yes or no. What nobody answered is refused when it begins.",
    )  # fmt: skip
    confirm_by_mail = Flag(
        "Confirm by mail", public=True, told="On the page customers confirm by mail; over the API bookings count at once.",
        hint="A booking on the page counts once its customer has pressed the button behind the link in their mail, within half an hour. "
        "While very many book, the portal asks for this by itself.",
    )  # fmt: skip
    per_day = Whole("Appointments a day", least=1, default=None, hint="At most. Empty: any number.")
    per_week = Whole("Appointments a week", least=1, default=None, hint="Monday to Sunday.")
    per_customer = Whole(
        "Bookings of one customer", least=1, default=None, hint="To come, by e-mail address.", public=True,
        told="So many bookings to come one e-mail address may have; null: any number.",
    )  # fmt: skip
    cancel_until = Length("Customers may cancel until", default=0, hint="So long before the start.")
    move_until = Length("Customers may move until", default=0, hint="So long before the start.")
    reminders = Lengths(
        "Remind customers", least=5, most=5, default=[1440],
        hint="So long before the start, several with commas: 1 day, 2 hours. Empty: never.",
    )  # fmt: skip
    has_waitlist = Flag(
        "Waitlist",
        key="waitlist",
        hint="Who finds it full may wait, and is offered what becomes free, first come first.",
    )
    offer_minutes = Length("An offer keeps its seats for", least=5, default=240, hint="Less near the start.")


class QuestionFields(Fields):
    """Columns of `service_question` by their names."""

    name = Checked("Name", checks.question_name, longest=40, public=True, told="Its key in `answers`.")
    label = Text("Question", longest=300, public=True, asks="Please write the question, in at most 300 characters.")
    kind = OneOf(
        "Answer",
        {
            "text": "One line of text",
            "long": "Longer text",
            "number": "Number",
            "choice": "One of a list",
            "checkbox": "Tick",
        },
        default="text",
        public=True,
        told="Answer number with a number, checkbox with true or false, choice with one of `choices`, others with a text.",
    )
    is_required = Flag("Must be answered", key="required", public=True)
    choices = Choices(
        "List",
        longest=200,
        most=250,
        together=3500,
        default=[],
        hint="Only for “One of a list”: one in a line.",
        public=True,
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def choices_belong_to_a_choice(self, data: dict[str, Any], original: Any, **_more: Any) -> None:
        if "kind" not in data or "choices" not in data:
            return
        if data["kind"] == "choice" and not data["choices"]:
            place = "choices" if "choices" in original else "kind"
            raise ValidationError([Fault("needs_choices")], place)
        if data["kind"] != "choice" and data["choices"]:
            raise ValidationError([Fault("no_choices", "", {"kind": data["kind"]})], "choices")
