"""The people page: who may sign in, and inviting them."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from portal.accounts.models import SetupLink, User
from portal.extensions import db
from tests.support.people import PASSWORD, make_user, signed_in


def invite(client, **data):
    return client.post("/admin/people", data={"email": "carla@studio.example", "role": "admin", **data})


def test_an_invitation_is_shown_once_and_works(studio, admin, page):
    text = invite(admin, role="staff", resource_id=str(studio.ben.id)).get_data(as_text=True)
    token = re.search(r"http://localhost/setup/([\w-]+)", text)[1]
    assert token not in page(admin, "/admin/people")
    assert "carla@studio.example" in page(admin, "/admin/people")
    client = studio.app.test_client()
    form = {"name": "Carla", "password": PASSWORD, "password_again": PASSWORD}
    assert client.post(f"/setup/{token}", data=form).status_code == 303
    db.session.rollback()
    user = db.session.scalars(select(User).where(User.email == "carla@studio.example")).one()
    assert (user.role, user.resource_id) == ("staff", studio.ben.id)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"email": "carla"}, "email"),
        ({"role": "root"}, "role"),
        ({"role": ""}, "role"),
        ({"role": "staff"}, "resource_id"),
        ({"resource_id": "987654"}, "resource_id"),
        ({"resource_id": "٣"}, "resource_id"),
    ],
)
def test_a_wrong_invitation_names_the_field_and_keeps_what_was_typed(studio, admin, data, field):
    response = invite(admin, **data)
    assert response.status_code == 422
    assert f'id="error-{field}"' in response.get_data(as_text=True)
    assert not db.session.scalars(select(SetupLink)).all()


def test_nobody_is_invited_twice(studio, admin):
    make_user("staff", email="carla@studio.example")
    response = invite(admin)
    assert response.status_code == 409
    assert "already a user" in response.get_data(as_text=True)


def test_only_an_owner_makes_owners(studio, admin):
    clerk = signed_in(studio.app, make_user("admin"))
    assert invite(clerk, role="owner").status_code == 422
    assert invite(admin, role="owner").status_code == 200


def test_somebody_is_shut_out_at_once_and_let_in_again(studio, admin, page):
    user = make_user("staff")
    client = signed_in(studio.app, user)
    assert client.get("/admin").status_code == 200
    assert "Shut out" in page(admin, f"/admin/people/{user.id}/shut-out", post={})
    assert client.get("/admin").status_code == 302
    page(admin, f"/admin/people/{user.id}/let-in", post={})
    assert signed_in(studio.app, user).get("/admin").status_code in (200, 302)
    db.session.rollback()
    assert db.session.get(User, user.id).is_enabled


def test_an_admin_cannot_shut_out_an_owner_nor_anybody_themselves(studio, page):
    owner, clerk = make_user("owner"), make_user("admin")
    client = signed_in(studio.app, clerk)
    for victim in (owner, clerk):
        assert "only an owner" in page(client, f"/admin/people/{victim.id}/shut-out", post={})
    db.session.rollback()
    assert db.session.get(User, owner.id).is_enabled
    assert db.session.get(User, clerk.id).is_enabled


def test_shutting_out_nobody_is_not_found(studio, admin):
    assert admin.post("/admin/people/987654/shut-out").status_code == 404
