"""What the portal writes to people. Pure: facts in, a finished message out; nothing is asked, nothing is sent. Called by
`portal.notifications.deliver`.

Each message is in its reader's language, its times in the reader's zone and habits. `letter` sets it, from the words under templates/mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from portal.booking.invitation.customer_ics import Method, customer_ics
from portal.language.say import language, say, speaking
from portal.notifications.compose.facts import (
    NO_WORDS,
    ClockNews,
    CodeNews,
    ConflictNews,
    ConnectionNews,
    CustomerNews,
    Facts,
    LimitNews,
    OwnWords,
    Person,
    QuestionNews,
    ReminderNews,
    ResetNews,
    StaffNews,
    WaitlistNews,
)
from portal.notifications.compose.letter import Letter, Words, set_letter, words_of
from portal.notifications.compose.manage_link import ManageLink
from portal.notifications.compose.own_words import booking_values, put_in, waiting_values
from portal.notifications.compose.sheet import Reader, Row, Sheet, booking_sheet, party, person_sheet, waiting_sheet
from portal.notifications.compose.wording import known_zone, locale_for, tag_for
from providers.kinds import kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A finished mail to one person, from `sender_name`; answers go to `reply_to`. `message_key` is the left part of its Message-ID: the same news
    to the same person has the same. `stop_url` goes into List-Unsubscribe (RFC 8058)."""

    kind: str
    recipient: str
    recipient_name: str
    subject: str
    text: str
    html: str
    message_key: str
    ics: bytes | None = None
    ics_method: Method | None = None
    stop_url: str = ""
    sender_name: str = ""
    reply_to: str = ""


def compose(facts: Facts) -> Message:
    """The mail for these facts, in its reader's language."""
    write: Callable[[Any], Message] = _WRITERS[type(facts)]
    with speaking(tag_for(reader_of(facts).language, facts.house.language)):
        return write(facts)


def reader_of(facts: Facts) -> Person:
    """Who will read it."""
    if isinstance(facts, CustomerNews | ReminderNews):
        return facts.booking.customer
    return facts.wait.customer if isinstance(facts, WaitlistNews) else facts.recipient


def message_key(instance_id: str, subject: str, *, news: str, sequence: int | str, recipient: str) -> str:
    """The same for the same news to the same person, and for nothing else."""
    parts = "\n".join((instance_id, subject, news, str(sequence), recipient.lower()))
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _to_customer(facts: CustomerNews) -> Message:
    if facts.news.news == "confirm":
        return _to_unknown(facts)
    kind, is_off = facts.news.news, facts.news.news in ("cancelled", "refused")
    link = ManageLink(facts.booking, facts.manage_url, facts.event.stamped_at, _reader(facts))
    words = words_of(kind, {**_booking_words(facts, facts.news.previous_start_at), **_news_words(facts), **link.words})
    if not is_off:
        words = replace(words, button=link.purpose)
    message = _message(
        kind,
        facts,
        _in_own_words(facts, words, facts.own, booking_values(facts.booking, facts.house, _reader(facts))),
        [_sheet(facts, facts.news.previous_start_at, _call_words(facts))],
        button_url=f"{facts.house.url}/" if is_off else facts.manage_url,
        small=() if is_off else link.small,
    )
    method: Method = "CANCEL" if is_off else "REQUEST"
    return replace(message, ics=customer_ics(facts.event, method=method), ics_method=method)


def _to_unknown(facts: CustomerNews) -> Message:
    """To an address of which nobody knows yet whether it was its owner who gave it: it holds nothing that somebody else may have typed."""
    reader, until = _reader(facts), facts.booking.held_until or facts.booking.start_at
    words = words_of("confirm", {**_booking_words(facts, None), "until": reader.instant(until)})
    sheet = _sheet(facts, None, "")
    return replace(_message("confirm", facts, words, [sheet], button_url=facts.manage_url), recipient_name="")


def _reminder(facts: ReminderNews) -> Message:
    link = ManageLink(facts.booking, facts.manage_url, facts.told_at, _reader(facts))
    words = replace(words_of("reminder", _booking_words(facts, None)), button=link.purpose)
    return _message(
        "reminder",
        facts,
        _in_own_words(facts, words, facts.own, booking_values(facts.booking, facts.house, _reader(facts))),
        [_sheet(facts, None, _call_words(facts))],
        button_url=facts.manage_url,
        small=link.small,
        stop=(say("No more reminders of this booking"), facts.stop_url),
    )


def _to_staff(facts: StaffNews) -> Message:
    news, house, previous = facts.news, facts.house, facts.news.previous_start_at
    values = {**_booking_words(facts, previous), **_news_words(facts), "news": news.news}
    page = f"/{facts.booking_id}" if facts.booking_id else ""
    sheet = _sheet(facts, previous, _call_words_for_staff(facts.booking.meeting))
    return _message(
        "staff_booking",
        facts,
        words_of("staff_booking", {**values, "has_page": bool(page)}),
        [sheet, person_sheet(facts.booking)],
        button_url=f"{house.url}/admin/bookings{page}",
    )


def _waitlist(facts: WaitlistNews) -> Message:
    reader, wait, until = _reader(facts), facts.wait, facts.held_until
    values: dict[str, Any] = {
        "wait": wait,
        "service": wait.service,
        "reason": facts.reason,
        "party": party(wait.party_size),
    }
    values["when"] = reader.when(wait.start_at, wait.end_at) if wait.start_at and wait.end_at else None
    values["until"] = reader.instant(until) if until else ""
    values["until_short"] = reader.short(until) if until else ""
    own_values = waiting_values(wait, facts.house, reader, until=values["until"])
    kind, is_over = f"waitlist_{facts.news}", facts.news == "ended"
    stop = (say("Leave the waitlist"), facts.stop_url) if facts.stop_url and not is_over else ("", "")
    return _message(
        kind,
        facts,
        _in_own_words(facts, words_of(kind, values), facts.own, own_values),
        [waiting_sheet(wait, house=facts.house, reader=reader)],
        button_url=f"{facts.house.url}/" if is_over else facts.entry_url,
        small=() if is_over else (say("The link is yours alone; whoever has it can answer for you."),),
        stop=stop,
    )


def _code(facts: CodeNews) -> Message:
    words = words_of("code", {"code": facts.code, "house": facts.house, "minutes": facts.minutes})
    return _message("code", facts, words, [Sheet(facts.code, is_code=True)])


def _reset(facts: ResetNews) -> Message:
    words = words_of("reset", {"house": facts.house, "minutes": facts.minutes})
    return _message("reset", facts, words, [], button_url=facts.link)


def _question(facts: QuestionNews) -> Message:
    reader = _reader(facts)
    when = reader.when(facts.start_at, facts.end_at)
    words = words_of("question", {**_event_words(facts), "kind": facts.kind, "when": when})
    rows = [_event_row(facts, reader), Row(say("When"), (str(when),))]
    if facts.moved_to:
        rows.append(Row(say("In the calendar it now stands at"), (str(reader.when(*facts.moved_to)),)))
    return _message("question", facts, words, [Sheet("", tuple(rows))], button_url=f"{facts.house.url}/admin/questions")


def _conflict(facts: ConflictNews) -> Message:
    reader = _reader(facts)
    when = reader.when(facts.start_at, facts.end_at)
    words = words_of("conflict", {**_event_words(facts), "resource": facts.resource, "when": when})
    event_when = str(reader.when(facts.event_start_at, facts.event_end_at))
    rows = (
        _event_row(facts, reader),
        Row(say("When"), (str(when),)),
        Row(say("Event in the calendar"), (event_when,)),
    )
    return _message("conflict", facts, words, [Sheet("", rows)], button_url=f"{facts.house.url}/admin/questions")


def _connection(facts: ConnectionNews) -> Message:
    reader, kind = _reader(facts), kind_of(facts.provider)
    values = {
        "state": facts.state,
        "resource": facts.resource,
        "rules": facts.rules,
        "has_password": kind.has_password,
        "server": kind.server,
    }
    rows = [
        Row(say("Since"), (reader.instant(facts.since),)),
        Row(say("Why"), (facts.reason,)) if facts.reason and facts.state != "connected" else None,
        Row(say("Account"), (facts.account,)) if facts.account else None,
        Row(say("Calendars"), (reader.names(facts.calendars),)) if facts.calendars else None,
    ]
    sheet = Sheet("", tuple(row for row in rows if row))
    words = words_of("connection", values)
    return _message("connection", facts, words, [sheet], button_url=f"{facts.house.url}/admin/integrations")


def _limit(facts: LimitNews) -> Message:
    reader = _reader(facts)
    values = {"service": facts.service, "limit": facts.limit, "wanted": reader.short(facts.wanted_at)}
    rows = tuple(
        Row(
            say("Your booking"),
            (str(reader.when(start_at, end_at)), url or say("Please get in touch with us.")),
            url=url,
        )
        for start_at, end_at, url in facts.standing
    )
    small = (say("The links are yours alone; whoever has one can change your booking."),)
    return _message(
        "limit",
        facts,
        words_of("limit", values),
        [Sheet(facts.service, rows)],
        button_url=facts.standing[0][2] or f"{facts.house.url}/mine",
        small=small,
    )


def _clock(facts: ClockNews) -> Message:
    sheet = Sheet("", (Row(say("Why"), (facts.reason,)),))
    return _message("clock", facts, words_of("clock", {}), [sheet], button_url=f"{facts.house.url}/admin")


_WRITERS: dict[type, Callable[[Any], Message]] = {
    CustomerNews: _to_customer,
    ReminderNews: _reminder,
    StaffNews: _to_staff,
    WaitlistNews: _waitlist,
    CodeNews: _code,
    ResetNews: _reset,
    QuestionNews: _question,
    ConflictNews: _conflict,
    ConnectionNews: _connection,
    ClockNews: _clock,
    LimitNews: _limit,
}


def _message(
    kind: str,
    facts: Facts,
    words: Words,
    sheets: list[Sheet],
    *,
    button_url: str = "",
    small: tuple[str, ...] = (),
    stop: tuple[str, str] = ("", ""),
) -> Message:
    reader, house = reader_of(facts), facts.house
    letter = Letter(
        house=house,
        words=words,
        sheets=sheets,
        button_url=button_url,
        small=small,
        footer=_footer(facts),
        stop=stop[0],
        stop_url=stop[1],
        language=language(),
    )
    text, html = set_letter(letter)
    return Message(
        kind=kind,
        recipient=reader.email,
        recipient_name=reader.name,
        subject=words.subject,
        text=text,
        html=html,
        message_key=facts.message_key,
        stop_url=stop[1],
        sender_name=house.name,
        reply_to=house.email,
    )


def _footer(facts: Facts) -> str:
    if isinstance(facts, CustomerNews | ReminderNews | WaitlistNews | CodeNews | LimitNews):
        return say(
            "This mail was sent by the booking page of %(business)s because this address was given there.",
            business=facts.house.name,
        )
    return say("Sent by the booking portal of %(business)s.", business=facts.house.name)


def _reader(facts: Facts) -> Reader:
    reader, house = reader_of(facts), facts.house
    return Reader(known_zone(reader.zone, house.zone), locale_for(reader.language, house.language, zone=house.zone))


def _in_own_words(
    facts: CustomerNews | ReminderNews | WaitlistNews, words: Words, own: OwnWords, values: dict[str, str]
) -> Words:
    """The admin's own subject and text where there are any; the portal's own text begins with a greeting."""
    greeted = replace(words, lead=(say("Hello %(name)s,", name=reader_of(facts).name), *words.lead))
    return put_in(own, greeted, values) if own != NO_WORDS else greeted


def _sheet(facts: CustomerNews | ReminderNews | StaffNews, previous: datetime | None, call_words: str) -> Sheet:
    return booking_sheet(
        facts.booking, house=facts.house, reader=_reader(facts), previous_start_at=previous, call_words=call_words
    )


def _booking_words(facts: CustomerNews | ReminderNews | StaffNews, previous: datetime | None) -> dict[str, Any]:
    booking = facts.booking
    return {
        "booking": booking,
        "service": booking.service,
        "customer": booking.customer,
        "when": _reader(facts).when(booking.start_at, booking.end_at),
        "previous": previous is not None and previous != booking.start_at,
    }


def _news_words(facts: CustomerNews | StaffNews) -> dict[str, str]:
    return {"by": facts.news.by, "reason": facts.news.reason}


def _event_words(facts: QuestionNews | ConflictNews) -> dict[str, Any]:
    return {"service": facts.service, "customers": facts.customers, "calendar": facts.calendar}


def _event_row(facts: QuestionNews | ConflictNews, reader: Reader) -> Row:
    if not facts.customers:
        return Row(say("Appointment"), (facts.service,))
    who = reader.names(facts.customers)
    return Row(say("Booking"), (say("%(service)s with %(customer)s", service=facts.service, customer=who),))


def _call_words(facts: CustomerNews | ReminderNews) -> str:
    """What is to be said of the video call while its link cannot be told; empty where there is none, or the link is known."""
    meeting = facts.booking.meeting
    if meeting == "coming" and facts.manage_url:
        if facts.booking.status == "pending":
            return say("The link will stand on the page of your booking, once it is confirmed; the way there is below.")
        return say("The link will stand on the page of your booking; the way there is below.")
    return say("We will let you know the link in time.") if meeting in ("coming", "unable") else ""


def _call_words_for_staff(meeting: str) -> str:
    if meeting == "coming":
        return say("The link stands in the event in your calendar, as soon as it is there.")
    return say("No calendar here can make a link: please send one.") if meeting == "unable" else ""
