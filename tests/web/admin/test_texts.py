"""Admins put mails into their own words, look at them, and take them back."""

from __future__ import annotations

import pytest
from flask import Flask

from portal.extensions import db
from portal.notifications.compose.own_words import KINDS
from portal.notifications.models import MailText
from tests import factories
from tests.support.people import make_user, signed_in
from tests.support.visitor import Visitor

OWN = {"subject": "See you, {customer}", "body": "Dear {customer},\n\n{service} with {who}: {when}.\nBring a towel."}


@pytest.fixture
def admin(app: Flask) -> Visitor:
    factories.make_business(name="Studio Ana", language="en")
    factories.make_service([factories.make_resource(slug="ana", name="Ana")], slug="yoga", name="Yoga", price="12 €")
    visitor = Visitor(app)
    visitor.client = signed_in(app, make_user())
    return visitor


def kept() -> list[tuple[str, str, str]]:
    db.session.rollback()
    return [(row.kind, row.language, row.subject) for row in db.session.query(MailText)]


def test_every_mail_to_customers_can_be_seen_in_each_language(admin: Visitor) -> None:
    admin.get("/admin/texts")
    for name in KINDS.values():
        assert name in admin.text()
    for kind in KINDS:
        for language in ("en", "es", "hu"):
            preview = admin.client.get(f"/admin/texts/{kind}/preview?language={language}&service=yoga")
            assert preview.status_code == 200
            assert f'<html lang="{language}">' in preview.get_data(as_text=True)
            assert "Yoga" in preview.get_data(as_text=True)


def test_own_words_are_kept_shown_and_taken_back(admin: Visitor) -> None:
    admin.get("/admin/texts/booked?language=en").press("Keep", **OWN)
    assert kept() == [("booked", "en", OWN["subject"])]
    assert "Your own" in admin.get("/admin/texts").text()
    page = admin.client.get("/admin/texts/booked/preview?language=en").get_data(as_text=True)
    assert "Dear Alex Example," in page
    assert "Yoga with Ana:" in page
    assert "Move or cancel your appointment" in page, "facts and links stay"
    admin.get("/admin/texts/booked?language=en").press("Back to the portal's own words")
    assert kept() == []


def test_a_service_has_words_of_its_own_before_those_of_all(admin: Visitor) -> None:
    admin.get("/admin/texts/booked?language=en").press("Keep", subject="For all", body="For all.")
    admin.get("/admin/texts/booked?language=en&service=yoga").press("Keep", subject="", body="For yoga.")
    page = admin.client.get("/admin/texts/booked/preview?language=en&service=yoga&form=text").get_data(as_text=True)
    assert page.startswith("For all\n\nFor yoga.\n")


def test_an_unknown_placeholder_is_refused_by_name_and_nothing_typed_is_lost(admin: Visitor) -> None:
    admin.get("/admin/texts/booked?language=en").press("Keep", subject="Hi {custmer}", body="{until} {7} {a.b}")
    assert admin.response.status_code == 422
    for words in ("{custmer}", "{until}", "{7}", "{a.b}", "You can use {customer}"):
        assert words in admin.text()
    assert admin.value("subject") == "Hi {custmer}"
    assert kept() == []


def test_what_is_typed_is_seen_before_it_is_kept(admin: Visitor) -> None:
    path = "/admin/texts/booked/preview?language=en"
    shown = admin.client.post(path, data={"subject": "", "body": "Not kept: {party}"})
    assert "Not kept: 1 person" in shown.get_data(as_text=True)
    text = admin.client.post(path, data={"subject": "Sub", "body": "Words", "form": "text"})
    assert text.mimetype == "text/plain"
    assert text.get_data(as_text=True).startswith("Sub\n\nWords\n")
    assert "{x}" in admin.client.post(path, data={"body": "{x}"}).get_data(as_text=True)
    assert kept() == []


def test_the_preview_may_run_and_load_nothing(admin: Visitor) -> None:
    nasty = "<script>alert(1)</script> {customer.__class__}"
    answer = admin.client.post("/admin/texts/booked/preview", data={"body": "<script>alert(1)</script>"})
    assert "<script" not in answer.get_data(as_text=True)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "frame-ancestors 'self'" in policy
    refused = admin.client.post("/admin/texts/booked/preview", data={"body": nasty})
    assert "{customer.__class__}" in refused.get_data(as_text=True)
    assert "<script" not in refused.get_data(as_text=True)


@pytest.mark.parametrize(
    "path", ["/admin/texts/nothing", "/admin/texts/nothing/preview", "/admin/texts/booked?service=no"]
)
def test_what_is_not_there_is_not_found(admin: Visitor, path: str) -> None:
    assert admin.client.get(path).status_code == 404
