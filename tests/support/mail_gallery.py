"""Draws every mail as a person would see it: each kind in each language, light and dark, on a telephone and on a desk.

`python -m tests.support.mail_gallery FOLDER` writes pictures (`<language>/<mail>-<look>.png`), the plain texts beside them, and one long
sheet per language and look. Needs Chromium. For people who change the words or the layout, to look at.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from portal.language.say import LANGUAGES
from portal.notifications.compose.facts import (
    ClockNews,
    CodeNews,
    ConflictNews,
    ConnectionNews,
    CustomerNews,
    Facts,
    House,
    LimitNews,
    Person,
    QuestionNews,
    StaffNews,
    WaitlistNews,
)
from portal.notifications.compose.messages import Message, compose
from portal.notifications.compose.news import News
from portal.notifications.compose.own_words import KINDS
from portal.notifications.compose.samples import SampleService, sample_mail
from tests.conftest import CHROMIUM_ARGUMENTS

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
YOGA = SampleService(
    name="Yoga for everybody", minutes=60, location="Calle Mayor 1, 2º", location_kind="on-site", price="12 €",
    people=("Ana", "Inés"), capacity=12, needs_approval=True,
)  # fmt: skip
LOOKS = {
    "phone-light": (390, "light"),
    "phone-dark": (390, "dark"),
    "desk-light": (900, "light"),
    "desk-dark": (900, "dark"),
}


def main(folder: Path) -> None:
    """Write all pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=CHROMIUM_ARGUMENTS
        )
        for language in LANGUAGES:
            mails = {name: compose(facts) for name, facts in all_mails(language)}
            (folder / language).mkdir(parents=True, exist_ok=True)
            for name, message in mails.items():
                text = f"{message.subject}\n\n{message.text}"
                (folder / language / f"{name}.txt").write_text(text, encoding="utf-8")
            for look, (width, scheme) in LOOKS.items():
                _draw(browser, mails, folder / language, look=look, width=width, scheme=scheme)
        browser.close()


def all_mails(language: str) -> Iterator[tuple[str, Facts]]:
    """(name, facts) of every mail, and of the turns that its words can take."""
    house = House(name="Studio Ana", zone="Europe/Madrid", language=language, url="https://book.studio.example")
    for kind in KINDS:
        yield kind, sample_mail(kind, house=house, service=YOGA, language=language, now=NOW)
    yield from _turns(house, language)
    yield from _to_staff(house, language)


def _turns(house: House, language: str) -> Iterator[tuple[str, Facts]]:
    """What the samples do not show: other reasons, other zones, video calls, cut-offs."""
    for kind, by, reason in (
        ("moved", "customer", ""), ("moved", "calendar", ""), ("cancelled", "customer", ""), ("refused", "portal", "unanswered"),
    ):  # fmt: skip
        facts = _customer_news(kind, house, language)
        yield f"{kind}-{reason or by}", replace(facts, news=replace(facts.news, by=by, reason=reason))
    off = _customer_news("cancelled", house, language)
    yield "cancelled-called-off", replace(off, booking=replace(off.booking, is_called_off=True))
    far = _customer_news("booked", house, language)
    customer = replace(far.booking.customer, zone="America/New_York")
    call = {
        "location": "",
        "location_kind": "online",
        "meeting": "ready",
        "meeting_url": "https://meet.example/abc-defg-hij",
    }
    yield "booked-far-away", replace(far, booking=replace(far.booking, customer=customer, cancel_until=1440, **call))
    phone = replace(far.booking, location_kind="phone", location="", move_until=120, cancel_until=1440)
    yield "booked-by-phone", replace(far, booking=phone)
    for reason in ("declined", "left", "removed", "over"):
        ended = sample_mail("waitlist_ended", house=house, service=YOGA, language=language, now=NOW)
        assert isinstance(ended, WaitlistNews)
        yield f"waitlist_ended-{reason}", replace(ended, reason=reason)
    joined = sample_mail("waitlist_joined", house=house, service=YOGA, language=language, now=NOW)
    assert isinstance(joined, WaitlistNews)
    week = replace(joined.wait, wish="week", wish_on=NOW.date(), start_at=None, end_at=None, party_size=1)
    yield "waitlist_joined-week", replace(joined, wait=week)
    person = Person(name="", email="alex@example.org", zone="", language=language)
    end_at = NOW + timedelta(days=3, hours=1)
    standing = (
        (NOW + timedelta(days=3), end_at, f"{house.url}/b/sample"),
        (NOW + timedelta(days=9), end_at + timedelta(days=6), ""),
    )
    alex = Person(name="Alex", email="alex@example.org", zone="Europe/London", language=language)
    yield (
        "limit",
        LimitNews(
            message_key="k", house=house, recipient=alex, service="Yoga", limit=2, wanted_at=NOW + timedelta(days=4), standing=standing,
        ),
    )  # fmt: skip
    yield "code", CodeNews(message_key="k", house=house, recipient=person, code="042137", minutes=10)


def _to_staff(house: House, language: str) -> Iterator[tuple[str, Facts]]:
    ana = Person(name="Ana", email="ana@studio.example", zone="Europe/Madrid")
    booked = _customer_news("booked", house, language).booking
    told = replace(booked, note="I have a bad knee.\nIs there a lift?", answers=(("Experience", "A little"),))
    for kind, by in (("booked", "customer"), ("pending", "customer"), ("moved", "customer"), ("cancelled", "customer")):
        previous = booked.start_at - timedelta(days=1) if kind == "moved" else None
        news = News(news=kind, by=by, previous_start_at=previous)
        facts = replace(told, pending_reason="approval" if kind == "pending" else "")
        yield (
            f"staff_{kind}",
            StaffNews(message_key="k", house=house, news=news, booking=facts, recipient=ana, booking_id=7),
        )
    end_at = booked.start_at + timedelta(hours=1)
    common = {"message_key": "k", "house": house, "recipient": ana, "service": "Yoga", "customers": ("Zoë", "Max")}
    times = {"start_at": booked.start_at, "end_at": end_at, "calendar": "Ana’s bookings"}
    yield (
        "question-moved",
        QuestionNews(kind="moved", moved_to=(end_at, end_at + timedelta(hours=1)), **common, **times),
    )  # type: ignore[arg-type]
    yield "question-deleted", QuestionNews(kind="deleted", **common, **times)  # type: ignore[arg-type]
    yield (
        "conflict",
        ConflictNews(resource="Ana", event_start_at=booked.start_at, event_end_at=end_at, **common, **times),  # type: ignore[arg-type]
    )
    yield (
        "clock",
        ClockNews(message_key="k", house=house, recipient=ana, reason="This machine's clock leapt forward by 1 day."),
    )
    for state in ("degraded", "needs reauth", "unwritable", "connected"):
        yield (
            f"connection-{state.replace(' ', '-')}",
            ConnectionNews(
                message_key="k", house=house, recipient=ana, state=state, reason="The server does not accept the password.",
                since=NOW, resource="Ana", account="ana, https://dav.example", calendars=("Bookings", "Private"), rules=("pending",),
            ),
        )  # fmt: skip


def _customer_news(kind: str, house: House, language: str) -> CustomerNews:
    facts = sample_mail(kind, house=house, service=YOGA, language=language, now=NOW)
    assert isinstance(facts, CustomerNews)
    return facts


def _draw(browser: Browser, mails: dict[str, Message], folder: Path, *, look: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    for name, message in mails.items():
        page.set_content(message.html)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            print(f"{folder.name} {name} {look}: {overflow} px too wide")
        page.screenshot(path=str(folder / f"{name}-{look}.png"), full_page=True)
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
