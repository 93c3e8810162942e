"""Roles change by those who may, hold at once, and there is always an owner."""

from __future__ import annotations

import threading

import pytest

from portal.accounts import members, operations, queries
from portal.accounts.models import User
from portal.booking.models import Booking
from portal.booking.operations import Customer, book
from portal.booking.time.queries import soonest_slots
from portal.clock import now_utc
from portal.errors import Invalid, NotAllowedNow, NotFound
from portal.extensions import db
from portal.sync.models import Question
from tests.factories import make_calendar, make_resource, make_service
from tests.support.people import make_user


def role_of(user_id):
    db.session.rollback()
    user = db.session.get(User, user_id)
    return user.role if user else None


def change(user, role, *, by, resource_id=None):
    by_id = by.id if by else None
    members.change_role(user.id, role, resource_id=resource_id, by_id=by_id, now=now_utc())


@pytest.mark.parametrize(
    ("actor", "subject", "role", "is_allowed"),
    [
        ("owner", "staff", "owner", True), ("owner", "admin", "staff", True), ("owner", "owner", "admin", True),
        ("admin", "staff", "admin", True), ("admin", "admin", "staff", True),
        ("admin", "staff", "owner", False), ("admin", "owner", "staff", False), ("admin", "owner", "owner", False),
        ("staff", "staff", "admin", False), ("staff", "admin", "staff", False),
    ],
)  # fmt: skip
def test_nobody_gives_more_than_they_have_nor_changes_who_has_more(app, actor, subject, role, is_allowed):
    ana, by, user = make_resource(), make_user(actor), make_user(subject)
    user_id, before = user.id, user.role
    if is_allowed:
        change(user, role, by=by, resource_id=ana.id)
    else:
        with pytest.raises(NotAllowedNow):
            change(user, role, by=by, resource_id=ana.id)
    assert role_of(user_id) == (role if is_allowed else before)


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_nobody_raises_themselves(app, role):
    make_user("owner")
    staff, admin = make_user("staff"), make_user("admin")
    for user in (staff, *((admin,) if role == "owner" else ())):
        with pytest.raises(NotAllowedNow):
            change(user, role, by=user)


def test_the_last_owner_cannot_step_down_nor_be_removed(app):
    owner, other = make_user("owner"), make_user("owner", is_enabled=False)
    for by in (owner, None):
        with pytest.raises(NotAllowedNow, match="only owner"):
            change(owner, "admin", by=by)
    with pytest.raises(NotAllowedNow):
        members.remove_user(owner.id, by_id=None, now=now_utc())
    operations.set_enabled(other.id, is_enabled=True, by=owner, now=now_utc())
    change(owner, "admin", by=owner)
    assert role_of(owner.id) == "admin"


def test_of_two_owners_who_step_down_at_once_one_stays(app):
    ids = [make_user("owner").id for _ in range(2)]
    barrier, outcomes = threading.Barrier(2), []

    def step_down(user_id):
        with app.app_context():
            barrier.wait()
            try:
                members.change_role(user_id, "admin", resource_id=None, by_id=user_id, now=now_utc())
                outcomes.append("down")
            except NotAllowedNow:
                outcomes.append("refused")
            db.session.remove()

    threads = [threading.Thread(target=step_down, args=(user_id,)) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["down", "refused"]
    assert sorted(role_of(user_id) for user_id in ids) == ["admin", "owner"]


def test_who_was_lowered_meanwhile_changes_nobody(app):
    """What counts is what the table says then, not what the page was opened with."""
    owner, admin, staff, ana = make_user("owner"), make_user("admin"), make_user("staff"), make_resource()
    change(admin, "staff", by=owner, resource_id=ana.id)
    with pytest.raises(NotAllowedNow):
        change(staff, "admin", by=admin)
    operations.set_enabled(admin.id, is_enabled=False, by=owner, now=now_utc())
    with pytest.raises(NotAllowedNow):
        members.remove_user(staff.id, by_id=admin.id, now=now_utc())


def test_a_made_up_role_or_resource_is_refused_by_its_field(app):
    owner, user = make_user("owner"), make_user("admin")
    for role, resource_id, field in (
        ("root", None, "role"),
        ("staff", None, "resource_id"),
        ("staff", 987654, "resource_id"),
    ):
        with pytest.raises(Invalid) as refused:
            change(user, role, by=owner, resource_id=resource_id)
        assert field in refused.value.fields
    with pytest.raises(NotFound):
        members.change_role(987654, "admin", resource_id=None, by_id=owner.id, now=now_utc())


def test_a_removed_user_is_signed_out_and_what_they_did_stays(app):
    owner, admin = make_user("owner"), make_user("admin")
    token, admin_id = operations.start_session(admin.id, device="test", now=now_utc()), admin.id
    service = make_service([make_resource(weekly={day: [(0, 1440)] for day in range(7)})])
    slot = soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    made = book(
        service_slug=service.slug, start_at=slot.interval.start, customer=Customer("Clara", "clara@example.org"),
        idempotency_key="key", now=now_utc(),
    )  # fmt: skip
    question = Question(
        kind="deleted", sentence="x", answer="cancel", answered_by=admin_id, calendar_id=make_calendar(make_resource()).id,
        appointment_id=db.session.get(Booking, made.booking_id).appointment_id,
    )  # fmt: skip
    db.session.add(question)
    db.session.commit()
    members.remove_user(admin.id, by_id=owner.id, now=now_utc())
    db.session.rollback()
    db.session.expire_all()
    assert role_of(admin_id) is None
    assert queries.user_of_session(db.session(), token, now=now_utc()) is None
    assert (question.answer, question.answered_by) == ("cancel", None)
    with pytest.raises(NotAllowedNow, match="themselves"):
        members.remove_user(owner.id, by_id=owner.id, now=now_utc())
