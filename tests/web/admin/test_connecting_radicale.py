"""Connecting a real CalDAV server through the page: what it refuses, what it finds, and that nobody reaches into the house by it (A18)."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from sqlalchemy import select

from portal.calendars.models import Calendar, Connection
from portal.extensions import db
from tests.providers.servers import RadicaleServer

STEP_1 = "/admin/integrations/caldav"
RULES = {"when_moved": "follow", "when_deleted": "ask", "when_unreadable": "pending"}


@pytest.fixture(scope="module")
def radicale(tmp_path_factory):
    with RadicaleServer(tmp_path_factory.mktemp("radicale")) as server:
        server.make_calendar("ana", "work")
        server.make_calendar("ana", "family")
        yield server


@pytest.fixture
def allowed(studio, radicale, monkeypatch):
    """The operator allows this one server on the private network."""
    settings = dataclasses.replace(studio.app.extensions["settings"], outbound_allow=(f"127.0.0.1:{radicale.port}",))
    monkeypatch.setitem(studio.app.extensions, "settings", settings)


def typed(studio, url, **changes):
    return {"resource_id": str(studio.ana.id), "url": url, "username": "ana", "password": "secret", **changes}


def test_a_real_server_is_connected_and_refreshed(studio, admin, radicale, allowed, page):
    step_2 = admin.post(STEP_1, data=typed(studio, radicale.url))
    assert step_2.status_code == 303, step_2.get_data(as_text=True)
    text = page(admin, step_2.location)
    assert "work" in text
    assert "family" in text
    form = {"busy-0": "1", "busy-1": "1", "destination": "0", **RULES}
    assert "can be read" in page(admin, step_2.location, post=form)
    db.session.rollback()
    calendars = db.session.scalars(select(Calendar)).all()
    assert {c.name for c in calendars} == {"work", "family"}
    assert [c.is_destination for c in calendars].count(True) == 1
    refresh = f"/admin/integrations/{calendars[0].connection_id}/refresh"
    assert admin.post(refresh, data={"password": "wrong"}).status_code == 422
    assert "The new password works" in page(admin, refresh, post={"password": "secret"})


def test_a_wrong_password_is_told_with_advice(studio, admin, radicale, allowed):
    response = admin.post(STEP_1, data=typed(studio, radicale.url, password="wrong"))
    assert response.status_code == 422
    assert "app password" in response.get_data(as_text=True)


def test_an_address_that_is_no_calendar_server_is_told(studio, admin, radicale, allowed):
    response = admin.post(STEP_1, data=typed(studio, f"{radicale.url}.web/"))
    assert response.status_code == 422
    assert "That did not work" in response.get_data(as_text=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "127.1",
        "10.0.0.1",
    ],
)
def test_nothing_inside_the_house_is_reached_through_the_form(studio, admin, host):
    """A18, D10: not one connection is made to an address that was not allowed."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    response = admin.post(STEP_1, data=typed(studio, f"http://{host}:{listener.getsockname()[1]}/"))
    with listener, pytest.raises(BlockingIOError):  # nobody waits to be let in
        listener.accept()
    assert response.status_code == 422
    assert "That did not work" in response.get_data(as_text=True)
    assert not db.session.scalars(select(Connection)).all()
