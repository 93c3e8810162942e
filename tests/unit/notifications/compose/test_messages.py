"""What mails say, to whom, and what they never say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from icalendar import Calendar

from portal.booking.invitation.customer_ics import CustomerEvent
from portal.calendars.models import CONNECTION_STATES
from portal.notifications.compose.facts import (
    BookingFacts,
    ConflictNews,
    ConnectionNews,
    CustomerNews,
    House,
    Person,
    QuestionNews,
    StaffNews,
)
from portal.notifications.compose.letter import LONGEST_SUBJECT
from portal.notifications.compose.messages import Message, compose, message_key
from portal.notifications.compose.news import News
from portal.notifications.compose.own_words import KINDS
from portal.notifications.compose.samples import SampleService, sample_mail

START = datetime(2026, 12, 3, 9, 30, tzinfo=UTC)
END = START + timedelta(minutes=30)
HOUSE = House(name="Studio Ana", zone="Europe/Madrid", language="en", url="https://book.studio.example")
ZOE = Person(name="Zoë Novák", email="zoe@customer.example", zone="Europe/Madrid")
ANA = Person(name="Ana", email="ana@studio.example", zone="Europe/Madrid")
MANAGE = "https://book.studio.example/b/" + "s3cret" * 6
BOOKING = BookingFacts(
    service="Consultation",
    start_at=START,
    end_at=END,
    people=("Ana",),
    location="Calle Mayor 1",
    customer=ZOE,
    phone="+34 600 123 456",
    note="Please ring twice.",
)
EVENT = CustomerEvent(
    instance_id="i",
    public_id="p",
    sequence=3,
    start_at=START,
    end_at=END,
    stamped_at=START - timedelta(days=9),
    summary="Consultation · Studio Ana",
    organizer_name="Studio Ana",
    organizer_email="hello@studio.example",
    customer_name=ZOE.name,
    customer_email=ZOE.email,
    manage_url=MANAGE,
)
NEWS = ("booked", "pending", "moved", "cancelled", "approved", "refused")


def to_customer(news: str = "booked", *, by: str = "customer", previous: datetime | None = None, **changes) -> Message:
    booking = replace(BOOKING, **{"status": status_after(news), **changes})
    told = News(news=news, by=by, previous_start_at=previous)
    return compose(
        CustomerNews(message_key="k", house=HOUSE, news=told, booking=booking, manage_url=MANAGE, event=EVENT)
    )


def to_staff(news: str = "booked", *, by: str = "customer", previous: datetime | None = None, **changes) -> Message:
    booking = replace(BOOKING, **{"status": status_after(news), **changes})
    told = News(news=news, by=by, previous_start_at=previous)
    return compose(StaffNews(message_key="k", house=HOUSE, news=told, booking=booking, recipient=ANA))


def status_after(news: str) -> str:
    return {"pending": "pending", "cancelled": "cancelled", "refused": "cancelled"}.get(news, "confirmed")


@pytest.mark.parametrize("news", NEWS)
def test_customers_read_what_when_where_and_with_whom(news):
    message = to_customer(news)
    assert (message.kind, message.recipient) == (news, ZOE.email)
    for body in both(message):
        for words in (
            "Consultation",
            "Thursday 3 December 2026",
            "10:30–11:00",
            "Madrid time (UTC+1)",
            "Ana",
            "Calle Mayor 1",
        ):
            assert words in body
    assert "Thu 3 Dec, 10:30" in message.subject


@pytest.mark.parametrize("news", ["booked", "pending", "moved", "approved"])
def test_a_standing_booking_has_its_manage_link(news):
    message = to_customer(news)
    assert MANAGE in message.text
    assert MANAGE in links(message.html)


@pytest.mark.parametrize("news", ["cancelled", "refused"])
def test_a_booking_that_is_off_leads_back_to_the_services(news):
    message = to_customer(news)
    assert MANAGE not in message.text
    assert links(message.html) == [f"{HOUSE.url}/"]


@pytest.mark.parametrize(
    ("news", "method"), [(n, "CANCEL" if n in ("cancelled", "refused") else "REQUEST") for n in NEWS]
)
def test_the_customers_calendar_follows(news, method):
    message = to_customer(news)
    assert message.ics_method == method
    assert str(Calendar.from_ical(message.ics)["method"]) == method


def test_staff_get_no_invitation_and_no_manage_link():
    message = to_staff()
    assert message.ics is None
    assert "/b/" not in message.text + message.html


def test_a_mail_says_who_moved_from_when_to_when():
    before = START - timedelta(days=1)
    assert "You moved your appointment" in to_customer("moved", previous=before).text
    for by in ("staff", "calendar"):
        message = to_customer("moved", by=by, previous=before)
        assert "We had to move" in message.text
        assert all("Wednesday 2 December, 10:30, Madrid time (UTC+1)" in body for body in both(message))


def test_a_change_without_a_new_time_is_not_called_a_move():
    message = to_customer("moved", by="staff", previous=START)
    assert message.subject.startswith("Changed")
    assert "Before" not in message.text


def test_a_mail_says_who_cancelled():
    assert "as you asked" in to_customer("cancelled").text
    assert "We had to cancel" in to_customer("cancelled", by="calendar").text
    assert "Zoë Novák has cancelled" in to_staff("cancelled").text
    assert "deleted in the calendar" in to_staff("cancelled", by="calendar").text


def test_a_moved_request_is_still_not_confirmed():
    assert "not confirmed yet" in to_customer("moved", previous=END, status="pending").text


def test_times_are_the_customers_with_the_businesss_beside_them():
    message = to_customer(customer=replace(ZOE, zone="America/New_York"))
    for body in both(message):
        assert "04:30–05:00" in body
        assert "New York time (UTC−5)" in body
        assert "10:30–11:00, Madrid time (UTC+1)" in body


def test_the_business_may_be_on_another_day():
    late = replace(
        BOOKING,
        customer=replace(ZOE, zone="Pacific/Auckland"),
        start_at=START + timedelta(hours=4),
        end_at=END + timedelta(hours=4),
    )
    message = to_customer(start_at=late.start_at, end_at=late.end_at, customer=late.customer)
    assert "Friday 4 December 2026" in message.text
    assert "At Studio Ana: Thursday 3 December 2026, 14:30–15:00" in message.text


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "\x00"])
def test_an_unknown_zone_falls_back_to_the_businesss(zone):
    assert "10:30–11:00, Madrid time (UTC+1)" in to_customer(customer=replace(ZOE, zone=zone)).text


def test_an_hour_that_comes_twice_is_told_apart_by_its_offset():
    start = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    message = to_customer(start_at=start, end_at=start + timedelta(minutes=30))
    assert "02:45 (UTC+2)–02:15 (UTC+1), Madrid time" in message.text


def test_cut_offs_are_told_in_the_customers_zone():
    message = to_customer(cancel_until=24 * 60, move_until=24 * 60)
    assert all("until Wednesday 2 December, 10:30" in body for body in both(message))
    apart = to_customer(cancel_until=24 * 60, move_until=60).text
    assert "You can move it until Thursday 3 December, 09:30" in apart
    assert "You can cancel it until Wednesday 2 December, 10:30" in apart


def test_a_link_promises_nothing_that_is_over():
    message = to_customer(cancel_until=60 * 24 * 30, move_until=60 * 24 * 30)
    assert "too late" in message.text
    assert "Move or cancel" not in message.text
    partly = to_customer(cancel_until=60 * 24 * 30)
    assert "Move your appointment" in partly.text
    assert "cancel it until" not in partly.text


def test_a_lost_link_still_gives_a_mail():
    facts = CustomerNews(
        message_key="k",
        house=HOUSE,
        news=News(news="booked"),
        booking=BOOKING,
        manage_url="",
        event=replace(EVENT, manage_url=""),
    )
    message = compose(facts)
    assert "get in touch" in message.text
    assert links(message.html) == []


def test_staff_read_who_comes_and_what_they_wrote():
    message = to_staff(note="First line\nSecond line")
    for body in both(message):
        for words in ("Zoë Novák", "zoe@customer.example", "+34 600 123 456", "First line\nSecond line"):
            assert words in body
    assert f"{HOUSE.url}/admin/bookings" in links(message.html)


def test_a_note_is_never_mailed_to_the_customer():
    assert all("ring twice" not in body for news in NEWS for body in both(to_customer(news)))


def test_staff_are_asked_to_decide_about_a_request():
    message = to_staff("pending", pending_reason="calendar")
    assert message.subject.startswith("Please decide")
    assert "a calendar could not be read" in message.text
    assert "calendar" not in to_staff("pending").text


QUESTION = QuestionNews(
    message_key="k", house=HOUSE, recipient=ANA, kind="deleted", service="Consultation", customers=("Zoë Novák", "Max"),
    start_at=START, end_at=END, calendar="Bookings",
)  # fmt: skip


def test_a_question_says_that_nothing_happened_yet_and_where_to_answer():
    message = compose(QUESTION)
    for body in both(message):
        assert "Zoë Novák and Max" in body
        assert "the customer has not been told" in body
        assert "cancel the booking, which tells the customer" in body
    assert links(message.html) == [f"{HOUSE.url}/admin/questions"]


def test_a_question_about_a_move_names_both_times():
    moved = replace(QUESTION, kind="moved", moved_to=(START + timedelta(hours=2), END + timedelta(hours=2)))
    for body in both(compose(moved)):
        assert "10:30–11:00" in body
        assert "12:30–13:00" in body
        assert "let the booking follow" in body


def test_a_conflict_names_both_and_not_what_the_event_is_about():
    message = compose(
        ConflictNews(
            message_key="k", house=HOUSE, recipient=ANA, service="Consultation", resource="Ana", customers=("Zoë Novák",),
            start_at=START, end_at=END, calendar="Private", event_start_at=START, event_end_at=END + timedelta(hours=1),
        )
    )  # fmt: skip
    for body in both(message):
        assert "Private" in body
        assert "10:30–12:00" in body
        assert "The booking stands" in body


CONNECTION = ConnectionNews(
    message_key="k", house=HOUSE, recipient=ANA, state="needs reauth", reason="The server does not accept the password.",
    since=START, resource="Ana", account="ana at https://dav.example", calendars=("Bookings",), rules=("pending",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("degraded", "keeps trying"),
        ("needs reauth", "Refresh connection"),
        ("misconfigured", "check the address"),
        ("connected", "works again"),
        ("quarantine", "Nothing was removed"),
        ("unwritable", "The bookings stand"),
    ],
)
def test_connection_news_say_what_since_when_why_and_what_to_do(state, words):
    message = compose(replace(CONNECTION, state=state))
    for body in both(message):
        assert words in body
        assert "Thursday 3 December, 10:30, Madrid time (UTC+1)" in body
        assert ("does not accept the password" in body) == (state != "connected")
    assert links(message.html) == [f"{HOUSE.url}/admin/integrations"]


@pytest.mark.parametrize(
    ("state", "title", "words"),
    [
        ("needs reauth", "A calendar needs you to sign in again", "sign in at Google again"),
        ("misconfigured", "A calendar cannot be used", "what is missing at Google"),
    ],
)
def test_of_a_google_account_nobody_is_asked_for_a_password_or_an_address(state, title, words):
    facts = replace(CONNECTION, state=state, provider="google", reason="It has ended.", account="ana@gmail.example")
    message = compose(facts)
    assert message.subject == f"{title}: Ana"
    for body in both(message):
        assert words in body
        assert "password" not in body
        assert "address" not in body


def test_every_state_that_a_connection_can_have_has_words():
    for name in (*CONNECTION_STATES, "quarantine", "unwritable"):
        if name != "paused":  # whoever paused it knows
            assert compose(replace(CONNECTION, state=name)).subject.endswith(": Ana")


@pytest.mark.parametrize(
    ("rule", "words"),
    [("stop", "no times are offered"), ("keep", "offered as before"), ("pending", "taken as requests")],
)
def test_trouble_says_what_customers_meet_meanwhile(rule, words):
    assert words in compose(replace(CONNECTION, rules=(rule, rule))).text


NASTY = "<script>alert(1)</script> {{ 7*7 }} {% raw %} & \" '"


def test_what_people_typed_is_inserted_and_never_run():
    message = to_staff(customer=replace(ZOE, name=NASTY), note=NASTY, location=NASTY)
    assert "<script" not in message.html
    assert "49" not in message.html
    assert NASTY in message.text
    assert "&lt;script&gt;" in message.html


def test_a_subject_is_one_short_line():
    message = to_customer(service="Long " * 100 + "\r\nBcc: eve@example.org")
    assert len(message.subject) <= LONGEST_SUBJECT
    assert "\n" not in message.subject
    assert "\r" not in message.subject


def test_mails_load_nothing_from_anywhere():
    for message in [to_customer(news) for news in NEWS] + [to_staff(), compose(QUESTION), compose(CONNECTION)]:
        assert loads(message.html) == []


def test_the_key_is_the_same_for_the_same_news_and_no_other():
    def key(news="booked", sequence=0, recipient="zoe@x.example", subject="booking:1", instance="i"):
        return message_key(instance, subject, news=news, sequence=sequence, recipient=recipient)

    assert key() == key(recipient="ZOE@x.example")
    others = [
        key(news="moved"),
        key(sequence=1),
        key(recipient="a@x.example"),
        key(subject="booking:2"),
        key(instance="j"),
    ]
    assert len({key(), *others}) == 6


def both(message: Message) -> tuple[str, str]:
    """The text, and the HTML as it reads."""
    reader = _Reader()
    reader.feed(message.html)
    return message.text, "".join(reader.words)


def links(html: str) -> list[str]:
    reader = _Reader()
    reader.feed(html)
    return [link for link in reader.links if not link.startswith("mailto:")]


def loads(html: str) -> list[str]:
    reader = _Reader()
    reader.feed(html)
    return reader.loads


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "a":
            self.links.append(values["href"])
        if "src" in values or tag in ("link", "script", "img", "iframe") or "url(" in values.get("style", ""):
            self.loads.append(tag)

    def handle_data(self, data):
        self.words.append(data)


URL = "https://meet.example/abc-defg-hij"


@pytest.mark.parametrize("compose_for", [to_customer, to_staff])
def test_a_video_call_is_told_with_its_link(compose_for):
    message = compose_for(meeting="ready", meeting_url=URL)
    assert f"Video call: {URL}" in message.text
    assert URL in links(message.html)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (to_customer(meeting="coming"), "The link will stand on the page of your booking; the way there is below."),
        (to_customer("pending", meeting="coming"), "on the page of your booking, once it is confirmed;"),
        (to_customer(meeting="unable"), "We will let you know the link in time."),
        (to_staff(meeting="coming"), "The link stands in the event in your calendar, as soon as it is there."),
        (to_staff(meeting="unable"), "No calendar here can make a link: please send one."),
    ],
)
def test_where_there_is_no_link_yet_a_mail_says_where_it_will_stand(message, words):
    assert all("Video call" in body and words in body for body in both(message))


def test_without_a_page_to_look_at_the_link_is_promised_by_the_house():
    booking = replace(BOOKING, meeting="coming")
    news = CustomerNews(
        message_key="k", house=HOUSE, news=News(news="booked"), booking=booking, manage_url="", event=EVENT
    )
    assert all("We will let you know the link in time." in body for body in both(compose(news)))


def test_mails_about_other_services_say_nothing_of_a_video_call():
    assert all("Video call" not in body for news in NEWS for body in (*both(to_customer(news)), *both(to_staff(news))))


def test_a_request_says_why_it_waits():
    assert "We look at each one ourselves" in to_customer("pending", pending_reason="approval").text
    assert "We look at each one ourselves" not in to_customer("pending", pending_reason="calendar").text
    staffs = to_staff("pending", pending_reason="approval")
    assert "waits for your answer" in staffs.text
    assert "calendar" not in staffs.text


def test_a_request_that_nobody_answered_says_so_to_both():
    news = News(news="refused", by="portal", reason="unanswered")
    booking = replace(BOOKING, status="cancelled")
    common = {"message_key": "k", "house": HOUSE, "news": news, "booking": booking}
    to_zoe = compose(CustomerNews(manage_url=MANAGE, event=EVENT, **common))
    to_ana = compose(StaffNews(recipient=ANA, **common))
    assert "nobody answered your request in time" in to_zoe.text
    assert "Nobody answered the request of Zoë Novák in time" in to_ana.text
    assert "nobody answered" not in to_customer("refused").text


def test_a_date_that_was_called_off_is_not_blamed_on_the_customer_who_cancelled_before():
    assert "does not take place" in to_customer("cancelled", by="staff", is_called_off=True).text
    assert "as you asked" in to_customer("cancelled", by="customer", is_called_off=True).text
    assert "was called off" in to_staff("cancelled", by="staff", is_called_off=True).text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"location_kind": "phone", "location": ""}, "By phone: we call you at +34 600 123 456."),
        ({"location_kind": "online", "location": ""}, "Where: Online"),
        ({"location_kind": "on-site"}, "Where: Calle Mayor 1"),
        ({"price": "12 €"}, "Price: 12 €"),
        ({"party_size": 3}, "For: 3 people"),
    ],
)
def test_the_sheet_says_where_and_for_how_much(facts, words):
    assert words in to_customer(**facts).text


def test_online_is_said_once():
    assert "Online" not in to_customer(location_kind="online", location="", meeting="ready", meeting_url=URL).text


def test_answers_are_for_staff_alone():
    answers = (("Experience", "A little\nor none"), ("Knee", "Yes"))
    assert "Experience:\nA little\nor none" in to_staff(answers=answers).text
    assert "Knee: Yes" in to_staff(answers=answers).text
    assert "Experience" not in to_customer(answers=answers).text


def test_staff_are_led_to_the_very_booking():
    news = StaffNews(
        message_key="k", house=HOUSE, news=News(news="booked"), booking=BOOKING, recipient=ANA, booking_id=12
    )
    assert f"{HOUSE.url}/admin/bookings/12" in links(compose(news).html)


def test_a_date_that_nobody_has_booked_yet_is_asked_about_as_such():
    question = compose(replace(QUESTION, customers=()))
    assert "nobody has booked it yet" in question.text
    assert "Appointment: Consultation" in question.text


@pytest.mark.parametrize("language", ["es", "hu"])
def test_every_mail_is_whole_in_each_language(language):
    """No English sentence is left over: each sample differs from the English one in every line that is not a fact."""
    house, service = replace(HOUSE, language=language), SampleService(name="X", location="Y", price="1 €")
    for kind in KINDS:
        own, english = (
            compose(sample_mail(kind, house=h, service=service, language=tongue, now=START))
            for h, tongue in ((house, language), (HOUSE, "en"))
        )
        sentences = {line for line in english.text.splitlines() if line.endswith(".")}
        assert sentences
        assert not sentences & set(own.text.splitlines()), kind
        assert own.subject != english.subject
