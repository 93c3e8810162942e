"""Numbers that no row can have, wherever somebody may send one: not found, or refused; never a fault of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import url_for
from sqlalchemy import insert, select, text

from portal.accounts.models import User
from portal.api import schemas
from portal.business.fields.base import declared
from portal.business.fields.business import BusinessFields, CalendarRules
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Service
from portal.commands import main
from portal.extensions import db
from tests.factories import make_resource, make_service
from tests.support.people import make_user, signed_in

ROOT = Path(__file__).resolve().parents[2]
LARGE = [2**31, 2**63 - 1, 2**63, 2**64, "9" * 5000]


def routes(app, number):
    """(endpoint, method, address) of every route, with this number wherever it takes one."""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            names = {name: "Integer" in type(converter).__name__ for name, converter in rule._converters.items()}
            values = {name: 7 if is_number else "consultation" for name, is_number in names.items()}
            address = url_for(rule.endpoint, **values).replace("/7", f"/{number}")
            for method in sorted(rule.methods & {"GET", "POST"}):
                yield any(names.values()), method, address


def field_names():
    """Every name under which a page or the code expects something."""
    found = set()
    for path in ROOT.glob("templates/**/*.html"):
        found |= set(re.findall(r'name="([a-z][a-z0-9_-]*)"', path.read_text(encoding="utf-8")))
    for path in ROOT.glob("portal/**/*.py"):
        found |= set(
            re.findall(
                r'(?:form|args|typed|query|text|number)(?:\.get|\.getlist)?\(\s*"([a-z0-9_-]+)"',
                path.read_text(encoding="utf-8"),
            )
        )
    for declaration in (BusinessFields, CalendarRules, QuestionFields, ServiceFields, *schemas.Sent.__subclasses__()):
        found |= {each for name, kind in declared(declaration).items() for each in (name, kind.data_key) if each}
    return sorted(found - {"csrf_token"})


@pytest.fixture
def owner(app):
    make_service([make_resource()], slug="consultation")
    return signed_in(app, make_user("owner"))


@pytest.mark.parametrize("number", LARGE, ids=["2^31", "2^63-1", "2^63", "2^64", "5000 digits"])
def test_no_route_finds_a_row_under_such_a_number(app, owner, number):
    wrong = []
    for takes_one, method, address in routes(app, number):
        if takes_one:
            status = owner.open(address, method=method).status_code
            wrong += [(method, address[:60], status)] if status not in (404, 405) else []
    assert not wrong


@pytest.mark.parametrize("number", [2**31, 2**63], ids=["2^31", "2^63"])
def test_no_field_takes_such_a_number_for_a_row(app, owner, number):
    names = field_names()
    assert {"appointment", "sequence", "resource", "party_size", "page"} <= set(names)
    typed = dict.fromkeys(names, str(number))
    user_id = db.session.scalar(select(User.id))
    faults = []
    for _, method, address in routes(app, 1):
        if any(word in address for word in ("sign-out", "/sessions", "shut-out", "removal")):
            continue  # the owner is to stay, and signed in
        answer = owner.open(
            address, method=method, **({"data": typed} if method == "POST" else {"query_string": typed})
        )
        faults += [(method, address, answer.status_code)] if answer.status_code == 500 else []
    assert not faults
    assert db.session.get(User, user_id) is not None


@pytest.mark.parametrize("number", [2**31, 2**63, 10**400, 1e300])
@pytest.mark.parametrize("field", ["party_size", "service", "start_at", "resource", "answers", "customer"])
def test_the_api_refuses_such_a_number(app, client, number, field):
    from portal.accounts.operations import add_api_token

    make_service([make_resource()], slug="consultation")
    body = {
        "service": "consultation",
        "start_at": "2030-01-07T09:00:00Z",
        "customer": {"name": "C", "email": "c@x.example"},
    }
    headers = {"Authorization": f"Bearer {add_api_token('tests')}", "Idempotency-Key": "k"}
    answer = client.post("/api/v1/bookings", json={**body, field: number}, headers=headers)
    assert answer.status_code == 422


def test_what_reaches_the_database_all_the_same_is_refused(app, client, monkeypatch):
    def ask(*_args, **_values):
        return db.session.scalars(select(Service).where(Service.id == 2**63)).all()

    def write(*_args, **_values):
        db.session.execute(text("SELECT 1"))
        db.session.execute(insert(Service).values(slug="x", name="x", duration=2**63 * 5, step=5))

    for work in (ask, write):
        monkeypatch.setattr("portal.booking.time.queries.list_services", work)
        assert client.get("/api/v1/services").status_code in (200, 422)
        db.session.rollback()


@pytest.mark.parametrize("number", ["2147483648", str(2**63), "0", "-1"])
@pytest.mark.parametrize("command", [("pull", "--calendar"), ("reconcile", "--calendar"), ("outbox", "retry")])
def test_a_command_calls_it_wrong_usage(command, number, capsys):
    assert main.run([*command, *(["--"] if command[0] == "outbox" else []), number]) == 2
    assert "Traceback" not in capsys.readouterr().err
