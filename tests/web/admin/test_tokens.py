"""The page of API tokens: made with what it may do, shown once, and ended by a button."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from portal.accounts.models import ApiToken
from portal.accounts.operations import add_api_token
from portal.clock import now_utc
from portal.extensions import db
from tests.support.people import make_user, signed_in

PAGE = "/admin/tokens"


def make(client, **data):
    return client.post(PAGE, data={"name": "Website", "scope": ["book"], "expires": "90", **data})


def test_a_token_is_made_with_its_scopes_and_shown_once(studio, admin, page):
    assert f'href="{PAGE}"' in page(admin, "/admin/people")
    text = make(admin, scope=["book", "read-availability"]).get_data(as_text=True)
    token = re.search(r'value="(lockstep_[\w-]+)"', text)[1]
    listed = page(admin, PAGE)
    assert token not in listed
    assert "read-availability, book" in listed
    assert "Olga" in listed
    client, headers = studio.app.test_client(), {"Authorization": f"Bearer {token}"}
    assert client.post("/api/v1/bookings", headers=headers, json={}).status_code == 422
    assert client.get("/api/v1/health", headers=headers).status_code == 403
    db.session.rollback()
    row = db.session.query(ApiToken).one()
    assert timedelta(days=89) < row.expires_at - now_utc() <= timedelta(days=90)
    address = re.search(rf'action="({PAGE}/\d+/revocation)"', listed)[1]
    assert "Revoked" in page(admin, address, post={})
    assert client.post("/api/v1/bookings", headers=headers, json={}).status_code == 401


@pytest.mark.parametrize(
    ("data", "field"), [({"name": " "}, "name"), ({"scope": []}, "scopes"), ({"scope": ["x"]}, "scopes"), ({"expires": "x"}, "expires")]
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(studio, admin, data, field):
    response = make(admin, **data)
    assert response.status_code == 422
    assert f'id="error-{field}"' in response.get_data(as_text=True)
    assert not db.session.query(ApiToken).all()


def test_tokens_are_no_business_of_staff(studio, staff):
    add_api_token("Website")
    assert staff.get(PAGE).status_code == 403
    assert make(staff).status_code == 403
    assert staff.post(f"{PAGE}/1/revocation").status_code == 403


def test_a_name_is_shown_as_text(studio, admin, page):
    add_api_token("<img src=x onerror=alert(1)>", made_by_id=make_user("admin").id)
    assert "<img src=x" not in page(admin, PAGE)
    assert signed_in(studio.app, make_user("admin")).post(f"{PAGE}/987654/revocation").status_code == 404
