"""Users for tests, and clients that are signed in as them."""

from __future__ import annotations

import itertools
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from portal.accounts import operations
from portal.accounts.models import User
from portal.accounts.passwords import hash_password
from portal.admin.sign_in import SESSION_TOKEN
from portal.clock import now_utc
from portal.extensions import db

PASSWORD = "violet anvil jumping"
_HASH = hash_password(PASSWORD)
_numbers = itertools.count(1)


def make_user(role: str = "owner", **values: Any) -> User:
    number = next(_numbers)
    defaults = {"email": f"{role}-{number}@studio.example", "name": f"{role.title()} {number}", "password_hash": _HASH}
    db.session.rollback()  # a request may have written since this session last read
    user = User(role=role, **{**defaults, **values})
    db.session.add(user)
    db.session.commit()
    return user


def signed_in(app: Flask, user: User) -> FlaskClient:
    """A client with a session of that user, made without the sign-in page."""
    token = operations.start_session(user.id, device="test", now=now_utc())
    client = app.test_client()
    with client.session_transaction() as session:
        session[SESSION_TOKEN] = token
        session["_user_id"] = user.get_id()
        session.permanent = True
    return client
