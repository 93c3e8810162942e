"""One-time links: the first owner's all end with the first owner, and an invitation ends with its successor, its sender and its user."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal.accounts import members, operations, queries
from portal.accounts.forms import Setup
from portal.accounts.models import SetupLink, User
from portal.clock import now_utc
from portal.errors import NotFound, Refused
from portal.extensions import db
from tests.factories import make_business, make_resource
from tests.support.people import PASSWORD, make_user


def accept(token, email="ana@studio.example"):
    return operations.accept_setup(token, Setup("Ana", email, PASSWORD, "Studio Ana", "Europe/Madrid"), now=now_utc())


def owners():
    db.session.rollback()
    return db.session.scalar(select(func.count(User.id)).where(User.role == "owner"))


def is_open(token):
    db.session.rollback()
    try:
        queries.find_setup_link(db.session(), token, now=now_utc())
    except NotFound:
        return False
    return True


def test_every_link_for_the_first_owner_ends_with_the_first_owner(app):
    """Each start of the portal prints one, and so may the console: of all of them one makes an owner."""
    links = [operations.create_setup_link() for _ in range(3)]
    links.append(operations.add_user("carla@studio.example", "owner"))
    accept(links.pop(1))
    for token in links:
        assert not is_open(token)
        with pytest.raises(NotFound):
            accept(token, "eve@example.org")
    assert owners() == 1


def test_a_named_owner_ends_the_links_without_a_name(app):
    nameless = operations.create_setup_link()
    accept(operations.add_user("carla@studio.example", "owner"))
    with pytest.raises(NotFound):
        accept(nameless, "eve@example.org")
    assert owners() == 1


def test_with_an_owner_another_one_is_invited_on_purpose(app):
    accept(operations.create_setup_link())
    accept(operations.add_user("carla@studio.example", "owner"))
    assert owners() == 2


def test_two_links_for_the_first_owner_used_at_once_make_one_owner(app):
    make_business()
    tokens = [operations.create_setup_link() for _ in range(3)] + [operations.add_user("carla@studio.example", "owner")]
    barrier, outcomes = threading.Barrier(len(tokens)), []

    def use(number):
        with app.app_context():
            barrier.wait()
            try:
                accept(tokens[number], f"eve-{number}@example.org")
                outcomes.append("made")
            except (NotFound, Refused):
                outcomes.append("refused")
            db.session.remove()

    threads = [threading.Thread(target=use, args=(n,)) for n in range(len(tokens))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert owners() == 1


def test_the_newest_invitation_of_an_address_is_the_one_that_works(app):
    make_business()
    make_user("owner")
    old, new = (operations.add_user(email, "staff") for email in ("ben@studio.example", "BEN@studio.example"))
    assert not is_open(old)
    assert accept(new)


def test_a_withdrawn_invitation_works_no_more(app):
    make_business()
    make_user("owner")
    token = operations.add_user("ben@studio.example", "staff")
    (invitation,) = queries.open_invitations(db.session(), now=now_utc())
    operations.withdraw_invitation(invitation.id, now=now_utc())
    assert not is_open(token)
    assert not queries.open_invitations(db.session(), now=now_utc())
    operations.withdraw_invitation(invitation.id, now=now_utc())
    with pytest.raises(NotFound):
        operations.withdraw_invitation(987654, now=now_utc())


def test_no_link_brings_a_removed_user_back(app):
    """Neither one for their address that was made before they became a user by another one, nor what they gave out."""
    make_business()
    owner, admin = make_user("owner"), make_user("admin")
    early = operations.add_user("ben@studio.example", "staff")
    ben_id = accept(operations.add_user("ben@studio.example", "admin"))
    given_out = operations.add_user("friend@example.org", "admin", made_by_id=ben_id)
    others = operations.add_user("carla@studio.example", "staff", made_by_id=admin.id)
    members.remove_user(ben_id, by_id=owner.id, now=now_utc())
    assert [is_open(token) for token in (early, given_out, others)] == [False, False, True]


@pytest.mark.parametrize("how", ["shut out", "lowered"])
def test_what_somebody_gave_out_ends_with_their_rights(app, how):
    owner, admin, ana = make_user("owner"), make_user("admin"), make_resource()
    token = operations.add_user("friend@example.org", "admin", made_by_id=admin.id)
    if how == "shut out":
        operations.set_enabled(admin.id, is_enabled=False, by=owner, now=now_utc())
    else:
        members.change_role(admin.id, "staff", resource_id=ana.id, by_id=owner.id, now=now_utc())
    assert not is_open(token)


def test_links_that_ended_are_not_shown_as_open(app):
    make_user("owner")
    operations.create_setup_link("ben@studio.example", "staff", now=now_utc() - timedelta(days=4))
    assert not queries.open_invitations(db.session(), now=now_utc())
    assert db.session.scalar(select(func.count(SetupLink.id))) == 1
