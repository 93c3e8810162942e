"""Guessing passwords: slowed for each account and limited for each address, wherever it is tried, without locking anybody out."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from portal.accounts import guesses, operations
from portal.accounts.models import Guess, User
from portal.clock import now_utc
from portal.errors import Invalid
from portal.extensions import db, limiter
from tests.support.people import PASSWORD, make_user

WRONG = "wrong wrong wrong"
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def limited(app, monkeypatch):
    monkeypatch.setattr(limiter, "enabled", True)
    return app


def sign_in(email, password=WRONG, *, client=HERE, now=None, knows_device=False):
    return operations.sign_in(
        email, password, device="test", knows_device=knows_device, client=client, now=now or now_utc()
    )


def outcome(call, *given, **named):
    try:
        call(*given, **named)
    except (operations.SignInRefused, guesses.TooManyTries, Invalid) as error:
        return type(error).__name__
    return "let in"


def prove(user, password=WRONG, *, client=HERE, now=None):
    guesses.prove(user.id, password, client=client, now=now or now_utc())


def test_one_address_tries_ten_times_a_minute_and_sixty_an_hour_whatever_the_accounts(limited):
    now = now_utc()
    told = [outcome(sign_in, f"n{n}@studio.example", now=now) for n in range(12)]
    assert told == ["SignInRefused"] * 10 + ["TooManyTries"] * 2
    for minute in range(1, 6):
        told += [
            outcome(sign_in, "n@studio.example", now=now + timedelta(minutes=minute, seconds=1)) for _ in range(11)
        ]
    assert told.count("SignInRefused") == 60
    assert outcome(sign_in, "n@studio.example", now=now + timedelta(minutes=30)) == "TooManyTries"
    assert outcome(sign_in, "n@studio.example", now=now + timedelta(minutes=30), client=THERE) == "SignInRefused"
    assert outcome(sign_in, "n@studio.example", now=now + timedelta(minutes=61, seconds=2)) == "SignInRefused"


def test_tries_at_once_count_each(limited):
    """As many processes as there may be: they share the count."""
    barrier, told = threading.Barrier(16), []

    def work():
        with limited.app_context():
            barrier.wait()
            told.append(outcome(sign_in, "n@studio.example"))
            db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["SignInRefused"] * 10 + ["TooManyTries"] * 6


def test_the_right_password_counts_against_nobody(limited):
    user = make_user("owner")
    for _ in range(12):
        assert outcome(sign_in, user.email, PASSWORD) == "let in"
    assert db.session.scalar(select(func.count(Guess.id))) == 0
    for _ in range(4):
        sign_in_refused = outcome(sign_in, user.email)
    assert sign_in_refused == "SignInRefused"
    assert outcome(sign_in, user.email, PASSWORD) == "let in"
    assert (
        db.session.scalar(select(func.count(Guess.id))) == 4
    )  # somebody with an account of their own starts no new count


def test_whoever_floods_an_address_does_not_bind_the_browser_that_is_known(limited):
    user = make_user("owner")
    for n in range(11):
        outcome(sign_in, f"n{n}@studio.example")
    assert outcome(sign_in, user.email, PASSWORD) == "TooManyTries"
    assert outcome(sign_in, user.email, PASSWORD, knows_device=True) == "let in"
    told = [outcome(sign_in, user.email, knows_device=True) for _ in range(12)]
    assert told == ["SignInRefused"] * 10 + ["TooManyTries"] * 2


@pytest.mark.parametrize("case", ["unknown", "shut out", "no password yet", "delayed"])
def test_the_same_statements_answer_for_every_account(app, case):
    """A11: what is asked, written and committed does not tell whether there is such a user, nor how they are."""
    known = make_user("owner")
    emails = {
        "unknown": "nobody@studio.example",
        "shut out": make_user("staff", is_enabled=False).email,
        "no password yet": make_user("staff", password_hash=None).email,
        "delayed": make_user("staff", failed_sign_ins=9, next_sign_in_at=now_utc() + timedelta(minutes=5)).email,
    }
    told = {email: statements_of(outcome, sign_in, email) for email in (known.email, emails[case])}
    assert told[known.email] == told[emails[case]]
    assert len(told[known.email]) >= 3


def statements_of(call, *given):
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_more):
        seen.append(statement)

    def commit(_connection):
        seen.append("COMMIT")

    event.listen(db.engine, "before_cursor_execute", note)
    event.listen(db.engine, "commit", commit)
    try:
        call(*given)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
        event.remove(db.engine, "commit", commit)
    return seen


def test_wrong_passwords_in_an_open_session_are_delayed_more_and_more(app):
    user, now = make_user("owner"), now_utc()
    for _ in range(6):
        assert outcome(prove, user, now=now) == "Invalid"
        now += timedelta(seconds=3)
    assert outcome(prove, user, PASSWORD, now=now) == "Invalid"  # right, but too early
    assert outcome(prove, user, PASSWORD, now=now + timedelta(seconds=5)) == "let in"
    for _ in range(5):
        assert outcome(prove, user, now=now) == "Invalid"
    assert outcome(prove, user, PASSWORD, now=now + timedelta(seconds=3)) == "let in"  # forgiven with the right one


def test_tries_at_once_in_an_open_session_count_each(app):
    user_id, barrier, told, now = make_user("owner").id, threading.Barrier(8), [], now_utc()

    def work():
        with app.app_context():
            barrier.wait()
            user = db.session.get(User, user_id)
            told.append(outcome(prove, user, now=now))
            db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["Invalid"] * 8
    db.session.rollback()
    assert db.session.scalar(select(func.count(Guess.id))) == 8 + 5  # each for its address, five for the account


def test_strangers_who_guess_at_the_sign_in_delay_nobody_in_an_open_session(app):
    user = make_user("owner")
    for _ in range(9):
        outcome(sign_in, user.email, client=THERE)
    assert outcome(prove, user, PASSWORD) == "let in"


def test_tries_in_open_sessions_and_at_the_sign_in_share_the_limit_of_their_address(limited):
    user, now = make_user("owner"), now_utc()
    for n in range(5):
        outcome(sign_in, f"n{n}@studio.example", now=now)
        outcome(prove, user, now=now + timedelta(milliseconds=n))
    assert outcome(prove, user, PASSWORD, now=now + timedelta(seconds=9)) == "TooManyTries"


def test_changing_the_password_is_slowed_too(app):
    user, now = make_user("owner"), now_utc()

    def change(current):
        operations.change_password(user.id, current, "another anvil entirely", device="test", client=HERE, now=now)

    for _ in range(5):
        assert outcome(change, WRONG) == "Invalid"
    assert outcome(change, PASSWORD) == "Invalid"


def test_tries_are_forgotten_after_a_day(app):
    outcome(sign_in, "n@studio.example")
    assert guesses.forget_old(now=now_utc() + timedelta(hours=23)) == 0
    assert guesses.forget_old(now=now_utc() + timedelta(hours=25)) == 1
