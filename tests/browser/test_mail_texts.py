"""The page of a mail's own words in a real browser: what is typed is seen in the frame before it is kept, and the frame runs nothing."""

from __future__ import annotations

from playwright.sync_api import Page

from portal.extensions import db
from portal.notifications.models import MailText
from tests.support.people import PASSWORD, make_user


def test_what_is_typed_is_seen_in_the_frame_before_it_is_kept(page: Page) -> None:
    open_editor(page)
    page.get_by_label("Text").fill("Typed and not kept, {customer}. <script>document.title = 'run'</script>")
    page.get_by_role("button", name="Preview", exact=True).click()
    frame = page.frame_locator("iframe[name=preview]")
    frame.get_by_text("Typed and not kept, Alex Example.").wait_for()
    frame.get_by_role("link", name="Move or cancel your appointment").wait_for()
    assert page.url.endswith("/admin/texts/booked"), "the page itself stays where it was"
    page.get_by_role("button", name="Preview as plain text").click()
    frame.get_by_text("Booked: First consultation").wait_for()
    db.session.rollback()
    assert db.session.query(MailText).count() == 0
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Back to the portal's own words").wait_for()
    frame.get_by_text("Typed and not kept, Alex Example.").wait_for()


def open_editor(page: Page) -> None:
    user = make_user("owner", name="Olga")
    page.goto("/admin/texts/booked")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/texts/booked")
