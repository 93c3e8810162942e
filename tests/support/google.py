"""Connecting the stand-in for Google without a browser: for benchmarks, faults and journeys that are about something else."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from portal.clock import now_utc

if TYPE_CHECKING:
    from portal.calendars.connect import Connected
    from tests.support.instance import Instance


class GooglePerson:
    """Somebody at work in one calendar, as the contract's tests want it."""

    def __init__(self, account: Any, calendar_id: str) -> None:
        self._account, self._calendar_id = account, calendar_id

    def add_event(self, summary: str, start_at: datetime, end_at: datetime, *, remote_id: str | None = None) -> str:
        given = {"id": remote_id} if remote_id else {}
        return str(self._account.add_event(self._calendar_id, summary, start_at, end_at, **given))

    def move_event(self, remote_id: str, start_at: datetime) -> None:
        self._account.move_event(self._calendar_id, remote_id, start_at)

    def remove_event(self, remote_id: str) -> None:
        self._account.remove_event(self._calendar_id, remote_id)


class OneToken:
    """Access tokens for a provider of its own: one, and no other."""

    def __init__(self, token: str) -> None:
        self._token = token

    def current(self) -> str:
        return self._token

    def renew(self, rejected: str) -> str:
        from providers.errors import AccessRevoked

        raise AccessRevoked("The test has no other token.")


def account_and_secret(person: Any) -> tuple[dict[str, str], dict[str, str]]:
    """What a connection stores after the person gave her consent: (what may be shown, what may not)."""
    granted = person.grant()
    now = now_utc()
    account = {"username": person.email, "subject": _subject(granted["id_token"]), "scopes": granted["scope"]}
    secret = {
        "refresh_token": granted["refresh_token"],
        "access_token": granted["access_token"],
        "expires_at": (now + timedelta(seconds=int(granted["expires_in"]))).isoformat(),
        "granted_at": now.isoformat(),
    }
    return account, secret


def connect(person: Any, resource_id: int, *, calendar_ids: tuple[str, ...] = (), **rules: Any) -> Connected:
    """Connect the person's calendars (her own one unless named) to a resource; the first receives bookings. Needs an app context."""
    from portal.calendars.connect import ChosenCalendar, connect_account

    account, secret = account_and_secret(person)
    ids = calendar_ids or (person.email,)
    chosen = [
        ChosenCalendar(remote_id=remote_id, name=remote_id, is_destination=number == 0, rules=rules)
        for number, remote_id in enumerate(ids)
    ]
    return connect_account(resource_id=resource_id, provider="google", account=account, secret=secret, chosen=chosen)


def connect_google(instance: Instance, person: Any, slug: str) -> None:
    """The same for a whole portal that is not running yet, by the slug of the resource."""
    from sqlalchemy import select

    from portal.app import create_app
    from portal.business.models import Resource
    from portal.config import load_settings
    from portal.extensions import db

    before = dict(os.environ)
    settings = dataclasses.replace(load_settings(instance.environment))
    os.environ.clear()
    os.environ.update(before)
    app = create_app(settings)
    with app.app_context():
        resource_id = db.session.scalars(select(Resource.id).where(Resource.slug == slug)).one()
        db.session.rollback()
        connect(person, resource_id)
        db.session.remove()
        db.engine.dispose()


def _subject(id_token: str) -> str:
    payload = id_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["sub"])
