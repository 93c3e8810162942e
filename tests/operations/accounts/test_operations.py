"""Users, sessions and links on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal.accounts import guesses, operations, queries
from portal.accounts.forms import Setup
from portal.accounts.models import SetupLink, User, UserSession
from portal.business.models import Business
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, NotFound, Refused
from portal.extensions import db
from portal.security import token_hash
from tests.factories import make_business, make_resource
from tests.support.people import PASSWORD, make_user

SETUP = Setup("Ana", "ana@studio.example", PASSWORD, "Studio Ana", "Europe/Madrid")


def accept(token, setup=SETUP):
    return operations.accept_setup(token, setup, now=now_utc())


def sign_in(email, password=PASSWORD, *, now=None, knows_device=False):
    return operations.sign_in(email, password, device="test", knows_device=knows_device, now=now or now_utc())


def count(model):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model))


def test_the_first_owner_sets_up_the_business(app):
    assert not operations.first_owner_exists()
    user_id = accept(operations.create_setup_link())
    business, user = db.session.get(Business, 1), db.session.get(User, user_id)
    assert (business.name, business.zone) == ("Studio Ana", "Europe/Madrid")
    assert len(business.instance_id) == 16
    assert (user.email, user.role, user.is_enabled) == ("ana@studio.example", "owner", True)
    assert operations.first_owner_exists()


def test_a_business_that_exists_stays_as_it_is(app):
    make_business(name="Old", instance_id="kept")
    accept(operations.create_setup_link())
    db.session.rollback()
    assert (db.session.get(Business, 1).name, db.session.get(Business, 1).instance_id) == ("Old", "kept")


def test_a_link_is_kept_as_a_hash_works_once_and_ends(app):
    token = operations.create_setup_link()
    assert db.session.scalars(select(SetupLink.token_hash)).one() == token_hash(token)
    accept(token)
    with pytest.raises(NotFound):
        accept(token, Setup("Eve", "eve@example.org", PASSWORD))
    old = operations.create_setup_link(now=now_utc() - timedelta(days=3, seconds=1))
    with pytest.raises(NotFound):
        accept(old, Setup("Eve", "eve@example.org", PASSWORD))
    assert count(User) == 1


def test_an_invitation_for_an_existing_address_changes_nothing(app):
    """A03: no look-up decides about a row that is not locked, and nothing is merged into an existing user."""
    make_business()
    owner = make_user("owner", email="ana@studio.example")
    before = (owner.password_hash, owner.role, owner.name, owner.session_epoch)
    token = operations.create_setup_link("ana@studio.example", "staff")
    for given in (token, operations.create_setup_link()):
        with pytest.raises(Refused):
            accept(given)
    db.session.rollback()
    owner = queries.find_user(db.session(), "ana@studio.example")
    assert (owner.password_hash, owner.role, owner.name, owner.session_epoch) == before
    assert db.session.scalars(select(SetupLink.used_at)).all() == [None, None]


def test_a_link_used_twice_at_once_makes_one_user(app):
    make_business()
    token = operations.create_setup_link()
    barrier, outcomes = threading.Barrier(4), []

    def use(number):
        with app.app_context():
            barrier.wait()
            try:
                accept(token, Setup("Eve", f"eve-{number}@example.org", PASSWORD))
                outcomes.append("made")
            except (NotFound, Refused):
                outcomes.append("refused")
            db.session.remove()

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert count(User) == 1


def test_the_invited_address_counts_not_the_typed_one(app):
    make_business()
    user_id = accept(operations.add_user("Ben@Studio.example", "staff"))
    user = db.session.get(User, user_id)
    assert (user.email, user.role) == ("ben@studio.example", "staff")


def test_a_member_of_staff_is_found_by_the_address_of_the_resource(app):
    ben = make_resource(email="ben@studio.example")
    make_business()
    assert db.session.get(User, accept(operations.add_user("ben@studio.example", "staff"))).resource_id == ben.id


@pytest.mark.parametrize(
    "email", ["", "ben", "ben@", "@b.example", "a b@c.example", "ben@example.org\nBcc: x@y.example", "x" * 300]
)
def test_a_wrong_address_is_not_invited(app, email):
    with pytest.raises(Invalid):
        operations.add_user(email, "staff")


def test_nobody_is_invited_twice_or_with_a_made_up_role(app):
    make_user("staff", email="ben@studio.example")
    with pytest.raises(Refused):
        operations.add_user("BEN@studio.example", "staff")
    with pytest.raises(Invalid):
        operations.add_user("carla@studio.example", "root")


def test_signing_in_starts_a_session_that_the_token_finds(app):
    user = make_user("owner")
    token = sign_in(user.email.upper())
    found, session = queries.user_of_session(db.session(), token, now=now_utc())
    assert found.id == user.id
    assert session.token_hash == token_hash(token)


def test_a_session_ends_after_twelve_idle_hours_and_after_fourteen_days(app):
    token, now = sign_in(make_user("owner").email), now_utc()
    assert queries.user_of_session(db.session(), token, now=now + timedelta(hours=11, minutes=59))
    assert not queries.user_of_session(db.session(), token, now=now + timedelta(hours=12, seconds=1))
    row = db.session.scalars(select(UserSession)).one()
    for hours in range(6, 24 * 14 + 6, 6):
        operations.touch_session(row.id, now=now + timedelta(hours=hours))
    assert not queries.user_of_session(db.session(), token, now=now + timedelta(days=14, seconds=1))


def test_wrong_tries_delay_the_next_one_more_and_more():
    waits = [guesses.delay_after(n).total_seconds() for n in range(16)]
    assert waits[:5] == [0, 0, 0, 0, 0]
    assert waits[5:9] == [2, 4, 8, 16]
    assert max(waits) == 300


def test_a_delayed_account_refuses_even_the_right_password_in_the_same_words(app):
    user, now = make_user("owner"), now_utc()
    for _ in range(7):
        now += timedelta(seconds=100)
        with pytest.raises(operations.SignInRefused) as wrong:
            sign_in(user.email, "wrong", now=now)
    with pytest.raises(operations.SignInRefused) as delayed:
        sign_in(user.email, now=now + timedelta(seconds=7))
    assert str(wrong.value) == str(delayed.value)
    assert sign_in(user.email, now=now + timedelta(seconds=9))


def test_tries_during_the_delay_do_not_prolong_it(app):
    """D17: no stranger can lock somebody out for ever."""
    user, now = make_user("owner"), now_utc()
    for _ in range(6):
        with pytest.raises(operations.SignInRefused):
            sign_in(user.email, "wrong", now=now)
    db.session.rollback()
    until = db.session.get(User, user.id).next_sign_in_at
    for _ in range(5):
        with pytest.raises(operations.SignInRefused):
            sign_in(user.email, "wrong", now=now)
    db.session.rollback()
    assert db.session.get(User, user.id).next_sign_in_at == until


def test_a_known_device_is_not_delayed_by_strangers(app):
    user, now = make_user("owner"), now_utc()
    for _ in range(8):
        with pytest.raises(operations.SignInRefused):
            sign_in(user.email, "wrong", now=now)
    assert sign_in(user.email, now=now, knows_device=True)
    db.session.rollback()
    assert db.session.get(User, user.id).failed_sign_ins == 0


def test_a_sign_in_renews_an_old_hash(app):
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    user = make_user("owner", password_hash=old)
    sign_in(user.email)
    db.session.rollback()
    assert "m=19456" in db.session.get(User, user.id).password_hash


@pytest.mark.parametrize("email", ["", "\x00", "nobody@studio.example", "é" * 300])
def test_an_unknown_address_is_refused_whatever_is_in_it(app, email):
    with pytest.raises(operations.SignInRefused):
        sign_in(email, "\x00")


@pytest.mark.parametrize("values", [{"is_enabled": False}, {"password_hash": None}])
def test_who_was_shut_out_or_never_chose_a_password_cannot_sign_in(app, values):
    user = make_user("staff", **values)
    for password in (PASSWORD, "", "nobody has this password"):
        with pytest.raises(operations.SignInRefused):
            sign_in(user.email, password)


def test_a_new_password_ends_all_other_sessions(app):
    user = make_user("owner")
    old = [sign_in(user.email) for _ in range(2)]
    new = operations.change_password(user.id, PASSWORD, "another anvil entirely", device="test", now=now_utc())
    assert not any(queries.user_of_session(db.session(), token, now=now_utc()) for token in old)
    assert queries.user_of_session(db.session(), new, now=now_utc())
    with pytest.raises(Invalid):
        operations.change_password(user.id, PASSWORD, "a third anvil", device="test", now=now_utc())


def test_shutting_out_ends_every_session_at_once(app):
    owner, staff = make_user("owner"), make_user("staff")
    token = sign_in(staff.email)
    operations.set_enabled(staff.id, is_enabled=False, by=owner, now=now_utc())
    assert not queries.user_of_session(db.session(), token, now=now_utc())


def test_nobody_shuts_out_themselves_nor_an_admin_an_owner(app):
    owner, admin = make_user("owner"), make_user("admin")
    for victim, by in ((owner, owner), (owner, admin), (admin, admin)):
        with pytest.raises(NotAllowedNow):
            operations.set_enabled(victim.id, is_enabled=False, by=by, now=now_utc())
    db.session.rollback()
    assert all(db.session.scalars(select(User.is_enabled)))
