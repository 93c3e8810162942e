"""What on the home page needs a person, each in a sentence with the way to mend it. Facts in, warnings out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from portal.admin.integrations.words import state_badge, state_sentence
from portal.notifications.failures import Unreached
from portal.notifications.models import Mail
from portal.sync.clock_doubts import WAITS
from portal.sync.state.overview import CalendarFacts

Kind = Literal["warn", "bad"]
MOST_NAMED = 3
_ALL_MAILS = ("admin.undelivered", "See the mails")


@dataclass(frozen=True, slots=True)
class Warning:
    """`page` is the endpoint of the page where it can be mended, `about` the values of its address."""

    kind: Kind
    title: str
    sentence: str
    page: str = ""
    link: str = ""
    about: Mapping[str, int] = field(default_factory=dict)


def find_warnings(
    calendars: Iterable[CalendarFacts],
    *,
    problems: Iterable[str],
    waiting_for_us: int,
    requests: int = 0,
    hanging: Iterable[str] = (),
    clocks: Iterable[str] = (),
    unreached: Iterable[Unreached] = (),
    mails_wait: str = "",
    settings: Iterable[str] = (),
    given_up: Sequence[Mail] = (),
    sees_all_mails: bool = False,
    not_adopted: str = "",
    may_adopt: bool = False,
    unknown: int = 0,
    asked: Iterable[tuple[str, int]] = (),
) -> list[Warning]:
    """The worst first. `problems` are the instance's own (the worker is silent), `clocks` say why a worker's clock is in doubt,
    `waiting_for_us` counts questions and conflicts, `requests`
    bookings that want a yes or a no, `hanging`
    names accounts whose disconnection does not get on, `unreached` are bookings whose customers' mails failed, `mails_wait` says why none leave,
    `settings` are doubts about those of the instance,
    `given_up` are mails that could not leave while they were of use; `sees_all_mails`: the page of all mails is this reader's to open,
    `unknown` bookings stand in calendars alone, `not_adopted` says why nothing leaves at all, `asked` names services whose customers have
    to confirm by mail since very many came at once, with how many."""
    facts = list(calendars)
    found = [Warning("bad", "Calendars and mails are standing still", problem) for problem in problems]
    if not_adopted:
        page = ("admin.instance", "What to do") if may_adopt else ()
        found.insert(0, Warning("bad", "Nothing leaves this portal", not_adopted, *page))
    found += [Warning("bad", "Is the clock right?", f"{sentence} {WAITS}") for sentence in clocks]
    found += _connections(facts) + _calendars(facts)
    found += [_hanging(name) for name in hanging]
    found += [Warning("warn", "A setting is doubtful", sentence) for sentence in settings]
    if mails_wait:
        found.append(_waiting(mails_wait, sees_all_mails))
    if given_up:
        found.append(_given_up(given_up, sees_all_mails))
    found += [_unreached(each) for each in unreached]
    found += [_asked(name, number) for name, number in asked]
    if requests:
        found.append(_requests(requests))
    if unknown:
        title = f"{unknown} {'booking' if unknown == 1 else 'bookings'} that the backup does not know"
        sentence = "They stand in the calendars alone. Their time is closed until you decide."
        found.append(Warning("bad", title, sentence, "admin.questions", "Decide"))
    if waiting_for_us:
        title = (
            "One thing waits for your answer"
            if waiting_for_us == 1
            else f"{waiting_for_us} things wait for your answer"
        )
        sentence = "Somebody changed a booking's event outside, or an event stands over a booking."
        found.append(Warning("warn", title, sentence, "admin.questions", "Answer"))
    return sorted(found, key=lambda warning: warning.kind != "bad")


def _requests(number: int) -> Warning:
    title = "One request waits for your yes or no" if number == 1 else f"{number} requests wait for your yes or no"
    sentence = "The time is kept meanwhile. What nobody answered is refused when it begins."
    return Warning("warn", title, sentence, "admin.bookings", "Decide")


def _asked(name: str, number: int) -> Warning:
    title = f"Very many bookings of “{name}” at once"
    count = "One was" if number == 1 else f"{number} were"
    sentence = f"{count} asked within the last hour to confirm by mail before it counts. This ends by itself as soon as fewer come."
    return Warning("warn", title, sentence)


def _hanging(name: str) -> Warning:
    sentence = "Some events could not be taken away, and trying alone does not help."
    return Warning("warn", f"{name} is not disconnected yet", sentence, "integrations.index", "Decide")


def _unreached(each: Unreached) -> Warning:
    sentence = f"The last mail to {each.email} failed, so {each.customer} may not know. {each.reason}"
    title = f"{each.customer} could not be told"
    return Warning("warn", title, sentence, "admin.booking", "See the booking", {"booking_id": each.booking_id})


def _waiting(reason: str, sees_all: bool) -> Warning:
    sentence = (
        f"They are tried again as long as they are of use, and leave within minutes once that is possible. {reason}"
    )
    return Warning("bad", "Mails do not leave", sentence, *(_ALL_MAILS if sees_all else ()))


def _given_up(mails: Sequence[Mail], sees_all: bool) -> Warning:
    title = "One mail could not leave in time" if len(mails) == 1 else f"{len(mails)} mails could not leave in time"
    people = ", ".join(dict.fromkeys(mail.recipient for mail in mails[:MOST_NAMED]))
    more = " and others" if len(mails) > MOST_NAMED else ""
    sentence = f"What they said is of no more use, so they were given up. They were to go to {people}{more}."
    if sees_all:
        return Warning("bad", title, sentence, *_ALL_MAILS)
    first = next((mail.booking_id for mail in mails if mail.booking_id), None)
    return Warning(
        "bad", title, sentence, *(("admin.booking", "See the booking", {"booking_id": first}) if first else ())
    )


def _connections(facts: list[CalendarFacts]) -> list[Warning]:
    """One for each account that is not well, however many calendars it has."""
    seen = {row.connection.id: row for row in facts}
    return [_connection(row) for row in seen.values() if row.connection.state != "connected"]


def _connection(row: CalendarFacts) -> Warning:
    state, provider = row.connection.state, row.connection.provider
    text, kind = state_badge(state, provider)
    return Warning(
        "bad" if kind == "bad" else "warn",
        f"{row.resource.name}: {text.lower()}",
        state_sentence(state, provider),
        "integrations.index",
        "See the account",
    )


def _calendars(facts: list[CalendarFacts]) -> list[Warning]:
    found = []
    for row in facts:
        name = f"{row.resource.name}, {row.calendar.name}"
        if row.calendar.quarantine is not None:
            sentence = (
                "A read would have removed many known events at once. Until somebody decides, the portal keeps them."
            )
            found.append(Warning("bad", f"{name}: is this right?", sentence, "integrations.index", "Decide"))
        if row.stuck:
            count = "A booking is" if row.stuck == 1 else f"{row.stuck} bookings are"
            sentence = f"{count} not in the calendar, and trying again alone does not help."
            found.append(Warning("bad", f"{name}: not written", sentence, "integrations.index", "See why"))
    return found
