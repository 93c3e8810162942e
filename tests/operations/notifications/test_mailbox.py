"""The development mailbox: what would have been sent, for admins only, and only while no mail server is set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import current_app
from icalendar import Calendar

from portal.admin.mails.mailbox import list_mails
from providers.messaging.file import FileMessenger
from tests.operations.notifications.conftest import ZOE
from tests.support.mails import deliver_all
from tests.support.people import make_user, signed_in
from tests.unit.providers.messaging.test_mime import DRAFT


@pytest.fixture
def folder(app):
    folder = current_app.extensions["settings"].data / "mail"
    yield folder
    for path in folder.glob("*"):
        path.unlink()


@pytest.fixture
def admin(app):
    return signed_in(app, make_user("admin"))


def test_an_admin_reads_what_a_customer_would_have_got(studio, folder, admin):
    outcome = studio.book()
    assert deliver_all() == []
    page = admin.get("/admin/mailbox").text
    assert "Booked: Consultation, Mon 1 Mar, 08:00" in page
    [name] = [mail.name for mail in list_mails(folder)[0] if ZOE.email in mail.recipient]
    mail = admin.get(f"/admin/mailbox/{name}").text
    link = f"http://localhost/b/{outcome.manage_token}"
    assert f'href="{link}"' in mail
    assert f"/admin/mailbox/{name}/html" in mail
    assert f'href="{link}"' in admin.get(f"/admin/mailbox/{name}/html").text
    ics = admin.get(f"/admin/mailbox/{name}/invitation.ics")
    assert ics.mimetype == "text/calendar"
    assert str(Calendar.from_ical(ics.data)["method"]) == "REQUEST"


def test_the_frame_may_run_and_load_nothing(folder, admin):
    name = keep(folder, html="<script>alert(1)</script><img src=https://elsewhere.example/x>")
    policy = admin.get(f"/admin/mailbox/{name}/html").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "frame-src 'self'" in admin.get(f"/admin/mailbox/{name}").headers["Content-Security-Policy"]
    assert "frame-src" not in admin.get("/admin/mailbox").headers["Content-Security-Policy"]


def test_a_mails_text_is_shown_as_text(folder, admin):
    name = keep(
        folder, subject="<b>x</b>", text="<script>alert(1)</script> javascript:alert(1) https://book.example/b/x"
    )
    page = admin.get(f"/admin/mailbox/{name}").text
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
    assert 'href="javascript' not in page
    assert 'href="https://book.example/b/x"' in page


def test_the_list_is_newest_first_and_page_by_page(folder, admin):
    for n in range(3):
        keep(folder, message_key=f"k{n}", subject=f"Mail {n}", written_at=DRAFT.written_at.replace(second=n))
    first, has_older = list_mails(folder, size=2)
    second, has_more = list_mails(folder, size=2, page=2)
    assert [mail.subject for mail in (*first, *second)] == ["Mail 2", "Mail 1", "Mail 0"]
    assert (has_older, has_more) == (True, False)
    assert "Nothing on this page" in admin.get("/admin/mailbox?page=7").text


def test_an_empty_mailbox_says_what_will_come(folder, admin):
    assert "No mails" in admin.get("/admin/mailbox").text
    assert admin.get("/admin/mailbox?page=nonsense").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "nothing.eml",
        "..%2Fkeys%2Fsecret",
        "20261121T080005123-booked-00000000.eml",
        "20261121T080005123-..%2f..%2fkeys-00000000.eml",
        ".",
    ],
)
def test_a_name_that_no_mail_has_leads_nowhere(folder, admin, name):
    keep(folder)
    for tail in ("", "/html", "/invitation.ics"):
        assert admin.get(f"/admin/mailbox/{name}{tail}").status_code in (404, 308)


def test_a_link_out_of_the_folder_is_not_followed(folder, admin):
    folder.mkdir(exist_ok=True)
    (folder / "20261121T080005123-booked-00000000.eml").symlink_to("/etc/hostname")
    assert admin.get("/admin/mailbox/20261121T080005123-booked-00000000.eml").status_code == 404


def test_only_admins_see_mails(app, folder):
    name = keep(folder)
    urls = ["/admin/mailbox", *(f"/admin/mailbox/{name}{tail}" for tail in ("", "/html", "/invitation.ics"))]
    staff, stranger = signed_in(app, make_user("staff")), app.test_client()
    for url in urls:
        assert staff.get(url).status_code == 403, url
        assert stranger.get(url).status_code == 302, url


def test_the_mailbox_is_gone_once_a_mail_server_is_set(app, folder, admin, monkeypatch):
    name = keep(folder)
    monkeypatch.setitem(app.extensions, "settings", replace(app.extensions["settings"], smtp_url="smtp://mail.example"))
    for url in ("/admin/mailbox", f"/admin/mailbox/{name}", f"/admin/mailbox/{name}/html"):
        assert admin.get(url).status_code == 404
    assert "/admin/mailbox" not in admin.get("/admin").text


def test_mails_are_never_kept_by_anybody(folder, admin):
    name = keep(folder)
    for url in (f"/admin/mailbox/{name}", f"/admin/mailbox/{name}/html", f"/admin/mailbox/{name}/invitation.ics"):
        assert admin.get(url).headers["Cache-Control"] == "no-store"


def keep(folder, **changes) -> str:
    return FileMessenger(folder).send(replace(DRAFT, **changes)).file_name
