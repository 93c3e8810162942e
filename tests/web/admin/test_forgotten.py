"""The page of forgotten passwords: the same for everybody who asks, a link that is a right of its own, and never an address from the request."""

from __future__ import annotations

import re

import pytest

from portal.accounts import resets
from portal.accounts.models import User
from portal.accounts.passwords import fits
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import make_business
from tests.support import mails
from tests.support.people import make_user, signed_in

URL = "/admin/forgotten"
NEW = {"password": "another anvil entirely", "password_again": "another anvil entirely"}


@pytest.fixture
def app(sqlite_app):
    make_business()
    return sqlite_app


def test_the_way_back_leads_from_the_sign_in_page_to_a_new_session(app):
    box, user = mails.memory_mail(app), make_user("admin")
    other_device, client = signed_in(app, user), app.test_client()
    assert f'href="{URL}"' in client.get("/admin/sign-in").get_data(as_text=True)
    assert client.post(URL, data={"email": user.email}, headers={"Host": "evil.test"}).status_code == 200
    assert not mails.deliver_all("notify.reset")
    link = re.search(r"http://\S+/new-password/\S+", mails.text(box.sent[0]))[0]
    assert link.startswith("http://localhost/admin/new-password/")  # the configured address, whatever the request said
    path = link.removeprefix("http://localhost")
    assert user.email in client.get(path).get_data(as_text=True)
    response = client.post(path, data=NEW)
    assert (response.status_code, response.location) == (303, "/admin")
    assert client.get("/admin").status_code == 200
    assert other_device.get("/admin").status_code == 302
    db.session.rollback()
    assert fits(NEW["password"], db.session.get(User, user.id).password_hash)


def test_the_page_says_the_same_to_everybody(app):
    known = make_user("admin").email
    bodies = set()
    for email in (known, "nobody@example.org", make_user("staff", is_enabled=False).email):
        response = app.test_client().post(URL, data={"email": email})
        assert response.status_code == 200
        text = response.get_data(as_text=True).replace(email, "…")
        bodies.add(re.sub(r'name="csrf_token" value="[^"]+"', "", text))
    assert len(bodies) == 1


def test_what_is_no_address_is_said_at_its_field_and_stays_typed(app):
    response = app.test_client().post(URL, data={"email": "nonsense"})
    assert response.status_code == 422
    page = response.get_data(as_text=True)
    assert 'value="nonsense"' in page
    assert 'id="error-email"' in page


def test_too_many_wishes_from_one_place_are_refused(app):
    statuses = [app.test_client().post(URL, data={"email": f"n{n}@example.org"}).status_code for n in range(11)]
    assert statuses == [200] * 10 + [429]


def test_opening_the_link_changes_nothing_and_leaks_nowhere(app):
    user = make_user("admin")
    path = f"/admin/new-password/{resets.print_link(user.email, now=now_utc())}"
    for _ in range(3):  # a mail scanner
        response = app.test_client().get(path)
        assert response.status_code == 200
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
    weak = app.test_client().post(path, data={"password": "short", "password_again": "short"})
    assert weak.status_code == 422
    assert app.test_client().post(path, data=NEW).status_code == 303
    used, wrong = app.test_client().get(path), app.test_client().get("/admin/new-password/wrong")
    assert (used.status_code, wrong.status_code) == (404, 404)
    assert used.data == wrong.data


def test_a_link_gives_no_more_than_a_password(app):
    """A14: every column of the model as an extra field."""
    user = make_user("staff")
    extra = {column.name: "1" for column in User.__table__.columns} | {"role": "owner", "email": "eve@example.org"}
    path = f"/admin/new-password/{resets.print_link(user.email, now=now_utc())}"
    before = (user.email, user.role, user.resource_id, user.name)
    assert app.test_client().post(path, data={**extra, **NEW}).status_code == 303
    db.session.rollback()
    after = db.session.get(User, user.id)
    assert (after.email, after.role, after.resource_id, after.name) == before


def test_no_admin_reads_the_link_of_another_in_the_mailbox(app):
    """Until a mail server is set, mails are files that admins see: with the owner's link an admin would be the owner."""
    app.extensions.pop("messenger", None)
    owner, admin = make_user("owner"), signed_in(app, make_user("admin"))
    app.test_client().post(URL, data={"email": owner.email})
    assert not mails.deliver_all("notify.reset")
    folder = app.extensions["settings"].data / "mail"
    (file,) = folder.glob("*-reset-*.eml")
    assert file.name not in admin.get("/admin/mailbox").get_data(as_text=True)
    assert admin.get(f"/admin/mailbox/{file.name}").status_code == 404
    file.unlink()
