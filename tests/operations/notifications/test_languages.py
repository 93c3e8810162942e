"""Each mail speaks its reader's language: sentences, dates, subject, calendar; and an admin's own words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from icalendar import Calendar

from portal.business.models import Business
from portal.extensions import db
from portal.notifications.models import MailText
from tests.operations.notifications.conftest import HALF_HOUR, MAX, NINE, ZOE
from tests.support.mails import deliver_all, html, invitation, text, to

SPOKEN = {
    "es": ("Reserva hecha: Consultation, lun, 1 mar, 8:00", "lunes, 1 de marzo de 2027", "hora de Londres (UTC)"),
    "hu": ("Lefoglalva: Consultation, márc. 1., h, 8:00", "2027. március 1., hétfő", "helyi idő: London (UTC)"),
}


def own_words(**values) -> None:
    db.session.add(MailText(**{"kind": "booked", "language": "en", **values}))
    db.session.commit()


@pytest.mark.parametrize("language", list(SPOKEN))
def test_a_mail_is_in_its_readers_language_from_the_subject_to_the_invitation(sent, studio, language):
    subject, day, zone = SPOKEN[language]
    outcome = studio.book(customer=replace(ZOE, language=f"{language}-XX"))
    deliver_all()
    [mail] = to(sent.sent, ZOE.email)
    assert mail["Subject"] == subject
    for body in (text(mail), html(mail)):
        assert day in body
        assert zone in body
        assert "Monday" not in body
    assert f'<html lang="{language}">' in html(mail)
    event = Calendar.from_ical(invitation(mail)).walk("VEVENT")[0]
    assert "With Ana" not in str(event["description"])
    assert outcome.manage_token in str(event["description"])
    [staffs] = to(sent.sent, "ana@studio.example")
    assert staffs["Subject"] == "New booking: Zoë Novák, Mon 1 Mar, 09:00", "staff read the business's language"


def test_who_has_chosen_no_language_reads_the_businesss(sent, studio):
    db.session.query(Business).update({"language": "hu"})
    db.session.commit()
    studio.book()
    studio.book(NINE + HALF_HOUR, replace(MAX, language="de"))
    deliver_all()
    assert to(sent.sent, ZOE.email)[0]["Subject"].startswith("Lefoglalva")
    assert to(sent.sent, MAX.email)[0]["Subject"].startswith("Lefoglalva")
    assert {mail["Subject"].split(":")[0] for mail in to(sent.sent, "ana@studio.example")} == {"Új foglalás"}


def test_an_admins_own_words_stand_in_the_mail_and_the_facts_stay(sent, studio):
    own_words(subject="Hi {customer}: {service}", body="Dear {customer},\n\nsee you {when}.\nBring {towel}.")
    outcome = studio.book(customer=replace(ZOE, name="{business} <b>"))
    deliver_all("notify.customer")
    [mail] = sent.sent
    assert mail["Subject"] == "Hi {business} <b>: Consultation", "what is inserted is not looked at again"
    assert (
        "Dear {business} <b>,\n\nsee you Monday 1 March 2027, 08:00–08:30, London time (UTC).\nBring {towel}."
        in text(mail)
    )
    assert "Dear {business} &lt;b&gt;," in html(mail)
    assert "We look forward" not in text(mail)
    assert outcome.manage_token in text(mail)
    assert "Calle Mayor 1" in text(mail)


def test_own_words_count_for_their_service_their_kind_and_their_language_alone(sent, studio):
    own_words(service_id=None, subject="For all", body="All of you.")
    own_words(service_id=studio.service.id, body="This service.")
    own_words(language="es", subject="Para todos")
    own_words(kind="cancelled", subject="Off")
    outcome = studio.book()
    studio.book(NINE + HALF_HOUR, replace(MAX, language="es"))
    deliver_all("notify.customer")
    studio.cancel(outcome)
    deliver_all("notify.customer")
    assert [mail["Subject"] for mail in to(sent.sent, ZOE.email)] == ["For all", "Off"]
    assert text(to(sent.sent, ZOE.email)[0]).startswith("This service.\n")
    assert to(sent.sent, MAX.email)[0]["Subject"] == "Para todos"


def test_a_subject_of_own_words_stays_one_short_line(sent, studio):
    own_words(subject="x" * 300)
    studio.book(customer=replace(ZOE, name="Zoë"))
    deliver_all("notify.customer")
    assert len(sent.sent[0]["Subject"]) <= 200
