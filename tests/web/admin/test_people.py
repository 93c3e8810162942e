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


def test_a_new_invitation_ends_the_first_and_one_can_be_withdrawn(studio, admin, page):
    links = [re.search(r"/setup/[\w-]+", invite(admin).get_data(as_text=True))[0] for _ in range(2)]
    client = studio.app.test_client()
    assert [client.get(link).status_code for link in links] == [404, 200]
    address = re.search(r'action="(/admin/people/invitations/\d+/withdrawal)"', page(admin, "/admin/people"))[1]
    text = page(admin, address, post={})
    assert "withdrawn" in text
    assert "carla@studio.example" not in text
    assert client.get(links[1]).status_code == 404


def test_a_role_is_changed_on_its_page_and_holds_in_open_sessions(studio, admin, page):
    user = make_user("staff", resource_id=studio.ben.id)
    client = signed_in(studio.app, user)
    assert client.get("/admin/people").status_code == 403
    address = f"/admin/people/{user.id}"
    assert f'href="{address}"' in page(admin, "/admin/people")
    page(admin, address, post={"role": "admin", "resource_id": ""})
    assert client.get("/admin/people").status_code == 200
    page(admin, address, post={"role": "staff", "resource_id": str(studio.ben.id)})
    assert client.get("/admin/people").status_code == 403
    wrong = admin.post(address, data={"role": "staff", "resource_id": ""})
    assert wrong.status_code == 422
    assert 'id="error-resource_id"' in wrong.get_data(as_text=True)


def test_nobody_makes_an_owner_of_themselves_over_the_page(studio, admin):
    clerk = make_user("admin")
    client = signed_in(studio.app, clerk)
    refused = client.post(f"/admin/people/{clerk.id}", data={"role": "owner", "resource_id": ""})
    assert refused.status_code == 409
    assert "Only an owner" in refused.get_data(as_text=True)
    db.session.rollback()
    assert db.session.get(User, clerk.id).role == "admin"


def test_the_last_owner_stays_one(studio, admin):
    (owner,) = db.session.scalars(select(User).where(User.role == "owner")).all()
    refused = admin.post(f"/admin/people/{owner.id}", data={"role": "admin", "resource_id": ""})
    assert refused.status_code == 409
    assert "only owner" in refused.get_data(as_text=True)


def test_somebody_is_removed_in_two_steps(studio, admin, page):
    user = make_user("staff", name="Carla")
    client, address = signed_in(studio.app, user), f"/admin/people/{user.id}/removal"
    assert "Remove this person?" in page(admin, address)
    assert client.get("/admin").status_code == 200
    assert "is removed" in page(admin, address, post={})
    assert client.get("/admin").status_code == 302
    assert admin.get(f"/admin/people/{user.id}").status_code == 404
