"""Links to a new password: whom one is mailed to, how often it may be asked for, and what it ends."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from portal.accounts import members, operations, queries, resets
from portal.accounts.models import PasswordReset, User
from portal.accounts.passwords import fits
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, NotFound
from portal.extensions import db
from portal.outbox import OutboxEntry
from tests.factories import make_business
from tests.support import mails
from tests.support.people import PASSWORD, make_user

NEW = "another anvil entirely"


@pytest.fixture
def box(app):
    make_business()
    return mails.memory_mail(app)


def ask(email, *, client="192.0.2.1", now=None):
    resets.ask_for_link(email, client=client, now=now or now_utc())


def use(token, *, now=None):
    return resets.use_link(token, NEW, device="test", now=now or now_utc())


def mailed(box):
    """The tokens in the mails that went out."""
    assert not mails.deliver_all("notify.reset")
    return [re.search(r"http://localhost/admin/new-password/([\w-]+)", mails.text(mail))[1] for mail in box.sent]


def test_a_mailed_link_changes_the_password_once_and_ends_every_session(box):
    user = make_user("admin")
    old = operations.start_session(user.id, device="test", now=now_utc())
    ask(user.email.upper())
    (token,) = mailed(box)
    session = use(token)
    db.session.rollback()
    assert fits(NEW, db.session.get(User, user.id).password_hash)
    assert queries.user_of_session(db.session(), session, now=now_utc())
    assert queries.user_of_session(db.session(), old, now=now_utc()) is None
    with pytest.raises(NotFound):
        use(token)


def test_a_link_ends_after_half_an_hour(box):
    user = make_user("admin")
    token = resets.print_link(user.email, now=now_utc())
    with pytest.raises(NotFound):
        use(token, now=now_utc() + timedelta(minutes=30, seconds=1))
    assert use(token, now=now_utc() + timedelta(minutes=29))


def test_a_link_that_was_used_ends_all_others_of_the_user_and_of_nobody_else(box):
    user, other = make_user("admin"), make_user("admin")
    links = [resets.print_link(user.email, now=now_utc()) for _ in range(2)]
    foreign = resets.print_link(other.email, now=now_utc())
    use(links[0])
    with pytest.raises(NotFound):
        use(links[1])
    assert use(foreign)


def test_a_link_used_twice_at_once_works_once(app, box):
    token, outcomes, barrier = resets.print_link(make_user("admin").email, now=now_utc()), [], threading.Barrier(3)

    def work():
        with app.app_context():
            barrier.wait()
            try:
                use(token)
                outcomes.append("used")
            except NotFound:
                outcomes.append("over")
            db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["over", "over", "used"]


@pytest.mark.parametrize("why", ["shut out", "removed", "password changed"])
def test_a_link_ends_with_what_it_was_for(box, why):
    owner, user = make_user("owner"), make_user("admin")
    token = resets.print_link(user.email, now=now_utc())
    if why == "shut out":
        operations.set_enabled(user.id, is_enabled=False, by=owner, now=now_utc())
    elif why == "removed":
        members.remove_user(user.id, by_id=owner.id, now=now_utc())
    else:
        operations.change_password(user.id, PASSWORD, "a third anvil here", device="test", now=now_utc())
    with pytest.raises(NotFound):
        use(token)


def test_nobody_is_mailed_who_is_no_user_or_was_shut_out(box):
    make_user("staff", email="out@studio.example", is_enabled=False)
    for email in ("nobody@example.org", "out@studio.example"):
        ask(email)
    assert mailed(box) == []


def test_a_known_address_and_an_unknown_one_cause_the_same_statements(app, box):
    known = make_user("admin").email
    seen: dict[str, list[str]] = {}
    for email in (known, "nobody@example.org"):
        statements: list[str] = []
        listen = lambda *given: statements.append(given[2])  # noqa: E731, B023
        event.listen(db.engine, "before_cursor_execute", listen)
        ask(email)
        event.remove(db.engine, "before_cursor_execute", listen)
        seen[email] = statements
    assert seen[known] == seen["nobody@example.org"]
    assert db.session.scalar(select(func.count(OutboxEntry.id))) == 2


def test_the_address_is_not_kept_and_the_token_only_until_its_mail_has_left(box):
    user = make_user("admin")
    ask(user.email)
    ask("nobody@example.org", client="192.0.2.9")
    (token,) = mailed(box)
    db.session.rollback()
    rows = db.session.scalars(select(PasswordReset).order_by(PasswordReset.id)).all()
    assert not any(text in str(vars(row)) for row in rows for text in (token, "nobody", "@", "192.0.2"))
    assert rows[0].sealed_token is None
    resets.forget_old(now=now_utc() + timedelta(hours=25))
    db.session.rollback()
    assert not db.session.scalars(select(PasswordReset)).all()


def test_an_address_is_mailed_three_times_an_hour_and_whoever_asks_more_learns_nothing(box):
    user = make_user("admin")
    for number in range(6):
        ask(user.email, client=f"192.0.2.{number}")
    assert len(mailed(box)) == 3


def test_one_place_asks_ten_times_an_hour_whatever_the_addresses(box):
    for number in range(10):
        ask(f"n{number}@example.org")
    with pytest.raises(resets.TooManyResets):
        ask(make_user("admin").email)
    ask("other@example.org", client="192.0.2.2")
    ask("later@example.org", now=now_utc() + timedelta(minutes=61))


def test_the_console_makes_a_link_for_users_only(app):
    make_user("staff", email="out@studio.example", is_enabled=False)
    with pytest.raises(NotFound, match="no user"):
        resets.print_link("nobody@example.org", now=now_utc())
    with pytest.raises(NotAllowedNow, match="shut out"):
        resets.print_link("out@studio.example", now=now_utc())
    with pytest.raises(Invalid):
        resets.print_link("nonsense", now=now_utc())
