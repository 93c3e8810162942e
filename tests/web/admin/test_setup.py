"""The set-up link: opening it does nothing, using it once makes one user, and nobody can make more of it than it says."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from portal.accounts import operations
from portal.accounts.models import SetupLink, User
from portal.business.models import Business
from portal.extensions import db
from tests.factories import make_business, make_resource
from tests.support.people import PASSWORD, make_user

FORM = {
    "name": "Ana",
    "email": "ana@studio.example",
    "password": PASSWORD,
    "password_again": PASSWORD,
    "business_name": "Studio Ana",
    "zone": "Europe/Madrid",
}


def users():
    db.session.rollback()
    return db.session.scalars(select(User)).all()


def test_a_fresh_portal_is_set_up_in_one_form(app):
    client, url = app.test_client(), f"/setup/{operations.create_setup_link()}"
    assert b"business_name" in client.get(url).data
    response = client.post(url, data=FORM)
    assert (response.status_code, response.location) == (303, "/admin")
    assert client.get("/admin").status_code == 200
    assert [(user.email, user.role) for user in users()] == [("ana@studio.example", "owner")]
    assert db.session.get(Business, 1).zone == "Europe/Madrid"


def test_opening_the_link_changes_nothing_and_leaks_nowhere(app):
    url = f"/setup/{operations.create_setup_link()}"
    for _ in range(3):  # a mail scanner
        response = app.test_client().get(url)
        assert response.status_code == 200
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Robots-Tag"] == "noindex"
    assert not users()
    assert db.session.scalars(select(SetupLink.used_at)).one() is None


def test_a_used_link_an_old_one_and_a_wrong_one_look_alike(app):
    used = operations.create_setup_link()
    app.test_client().post(f"/setup/{used}", data=FORM)
    answers = [app.test_client().get(f"/setup/{token}") for token in (used, "x" * 43, "%00", "a b")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.data for answer in answers}) == 1
    assert app.test_client().post(f"/setup/{used}", data={**FORM, "email": "eve@example.org"}).status_code == 404
    assert len(users()) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("email", "no address"),
        ("password", "short"),
        ("password", "password1234"),
        ("password", "anastudioana"),
        ("password_again", "something else"),
        ("business_name", " "),
        ("zone", "Europe/Atlantis"),
        ("zone", ""),
    ],
)
def test_a_wrong_field_is_named_and_everything_else_stays_typed(app, field, value):
    url = f"/setup/{operations.create_setup_link()}"
    response = app.test_client().post(url, data={**FORM, field: value})
    page = response.get_data(as_text=True)
    assert response.status_code == 422
    assert f'id="error-{field}"' in page
    assert PASSWORD not in page
    assert not users()
    assert app.test_client().post(url, data=FORM).status_code == 303  # the link is still good


def test_an_existing_address_is_refused_and_nothing_changes(app):
    """A03"""
    make_business()
    owner = make_user("owner", email="ana@studio.example")
    before = (owner.password_hash, owner.role)
    response = app.test_client().post(
        f"/setup/{operations.create_setup_link()}",
        data={**FORM, "password": "x anvil x anvil 9", "password_again": "x anvil x anvil 9"},
    )
    assert response.status_code == 409
    (after,) = users()
    assert (after.password_hash, after.role) == before


def test_a_link_gives_no_more_than_it_says(app):
    """A14: every column of the model as an extra field; what the link says counts, and nothing else."""
    make_business()
    ben, carla = make_resource(), make_resource()
    extra = {column.name: "1" for column in User.__table__.columns} | {"resource_id": str(carla.id), "role": "owner"}
    url = f"/setup/{operations.add_user('ben@studio.example', 'staff', resource_id=ben.id)}"
    assert app.test_client().post(url, data={**extra, **FORM}).status_code == 303
    (user,) = users()
    assert (user.email, user.role, user.resource_id) == ("ben@studio.example", "staff", ben.id)
    assert (user.session_epoch, user.failed_sign_ins, user.is_enabled) == (0, 0, True)
    assert db.session.scalar(select(func.count()).select_from(Business)) == 1
