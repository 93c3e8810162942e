"""Access tokens of a Google connection: one process fetches, the others wait; what was fetched is stored before it is used."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select, update

from portal.calendars.account import account_of, seal_secret, unseal_secret
from portal.calendars.last_look import look
from portal.calendars.models import Calendar, Connection
from portal.calendars.oauth import tokens
from portal.calendars.oauth.tokens import StoredTokens
from portal.calendars.open import kept_provider
from portal.clock import now_utc
from portal.config import NAMES
from portal.database.engine import transaction
from portal.extensions import db
from portal.intervals import Interval
from portal.sync.pull.pull import pull
from providers.errors import AccessRevoked, Misconfigured, Temporary
from providers.kinds import GOOGLE
from tests.factories import make_resource
from tests.operations.sync.conftest import at
from tests.support.google import account_and_secret, connect
from tests.support.google_server import GoogleServer
from tests.support.moments import moved_clock

ROOT = Path(__file__).resolve().parents[3]
NEARLY_OVER, OVER = timedelta(minutes=56), timedelta(minutes=70)


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture(autouse=True)
def calm(google):
    yield
    google.clear_faults()
    assert google.violations() == []  # nothing was asked that Google would call malformed
    google.rotate_refresh_tokens(False)


@pytest.fixture
def ana(google):
    return google.account(f"ana-{time.monotonic_ns()}@gmail.example")


@pytest.fixture
def portal(app, google, monkeypatch):
    """The portal on each database, set up for the stand-in."""
    values = {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    settings = dataclasses.replace(app.extensions["settings"], **values, outbound_allow=("127.0.0.1",))
    monkeypatch.setitem(app.extensions, "settings", settings)
    return app


@pytest.fixture
def connection_id(portal, ana):
    """Ana's account, connected now."""
    account, secret = account_and_secret(ana)
    connection = Connection(resource_id=make_resource().id, provider="google", account=account)
    db.session.add(connection)
    db.session.flush()
    connection.sealed_secret = seal_secret(connection.id, secret)
    db.session.commit()
    return connection.id


def stored(connection_id):
    """Tokens as a process finds them that has just read the row."""
    return StoredTokens(account(connection_id))


def hurried(connection_id):
    return StoredTokens(account(connection_id), is_hurried=True)


def account(connection_id):
    db.session.rollback()
    try:
        return account_of(db.session.get_one(Connection, connection_id))
    finally:
        db.session.rollback()


def secret(connection_id):
    return unseal_secret(account(connection_id))


def keep(connection_id, **changes):
    """Put other texts into the stored secret."""
    new = {**secret(connection_id), **changes}
    sealed = seal_secret(connection_id, {name: text for name, text in new.items() if text is not None})
    transaction(
        lambda s: s.execute(update(Connection).where(Connection.id == connection_id).values(sealed_secret=sealed))
    )


def asked(google, since):
    """How often a token was asked for."""
    return [entry["path"] for entry in google.log(since=since)].count("/token")


@pytest.fixture
def mark(google):
    """The number of the newest request so far."""
    return max((entry["no"] for entry in google.log()), default=0)


def later(span):
    return time_machine.travel(now_utc() + span, tick=True)


def test_a_living_token_is_used_without_asking(connection_id, google, mark):
    reader = stored(connection_id)
    assert reader.current() == reader.current() == secret(connection_id)["access_token"]
    assert asked(google, mark) == 0


def test_the_worker_renews_five_minutes_before_the_end_and_who_is_hurried_uses_what_lives(connection_id, google, mark):
    first = secret(connection_id)
    worker, visitor = stored(connection_id), hurried(connection_id)
    with later(timedelta(minutes=54)):
        assert worker.current() == first["access_token"]
    with later(NEARLY_OVER):
        assert visitor.current() == first["access_token"]
        assert asked(google, mark) == 0
        renewed = worker.current()
        assert renewed != first["access_token"]
        assert worker.current() == renewed
        assert stored(connection_id).current() == renewed
        assert hurried(connection_id).current() == renewed
    assert asked(google, mark) == 1
    assert secret(connection_id)["granted_at"] == first["granted_at"]


def test_a_token_that_is_over_is_replaced_for_whoever_asks(connection_id, google, mark):
    with later(OVER):
        assert hurried(connection_id).current() == secret(connection_id)["access_token"]
    assert asked(google, mark) == 1


def test_a_rejected_token_is_renewed_once_for_all(connection_id, google, mark, ana):
    first, second = stored(connection_id), stored(connection_id)
    rejected = first.current()
    assert first.renew(rejected) == second.renew(rejected) == secret(connection_id)["access_token"] != rejected
    assert asked(google, mark) == 1


def test_short_lived_tokens_are_renewed_in_their_last_quarter_and_not_all_the_time(connection_id, google, mark):
    google.access_token_life(120)
    try:
        reader = stored(connection_id)
        reader.renew(reader.current())
        with later(timedelta(seconds=80)):
            reader.current()
            assert asked(google, mark) == 1
        with later(timedelta(seconds=95)):
            reader.current()
            assert asked(google, mark) == 2
    finally:
        google.access_token_life(3600)


def test_threads_that_ask_at_once_cause_one_request(connection_id, google, mark):
    """None of them has an app context, as in the last look; the refresh token changes with its use."""
    google.rotate_refresh_tokens(True)
    google.fault(path="/token", kind="slow", seconds=0.4)
    before = secret(connection_id)
    readers = [hurried(connection_id) for _ in range(8)]
    with later(OVER), ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda reader: reader.current(), readers))
    after = secret(connection_id)
    assert found == {after["access_token"]}
    assert asked(google, mark) == 1
    assert after["refresh_token"] != before["refresh_token"]
    with later(OVER + OVER):
        assert stored(connection_id).current() not in found  # what was stored is what Google accepts


def environment(app, **more):
    settings = app.extensions["settings"]
    values = {name: getattr(settings, name.lower()) for name in NAMES if name.startswith("GOOGLE_")}
    return {
        "PATH": os.environ["PATH"],
        "LOCKSTEP_DATA": str(settings.data),
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "OUTBOUND_ALLOW": "127.0.0.1",
        **moved_clock(),
        **values,
        **more,
    }


def reader_process(app, connection_id, **more):
    command = [sys.executable, "-m", "tests.operations.sync.token_reader", str(connection_id)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(app, **more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def let_end(connection_id):
    """As if an hour had passed: other processes have a clock of their own."""
    past = (now_utc() - timedelta(minutes=1)).isoformat()
    keep(connection_id, expires_at=past, renew_at=None)


def test_processes_that_ask_at_once_cause_one_request(portal, connection_id, google, mark):
    google.rotate_refresh_tokens(True)
    google.fault(path="/token", kind="slow", seconds=0.4)
    let_end(connection_id)
    processes = [reader_process(portal, connection_id) for _ in range(2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = {process.communicate(timeout=20)[0].strip() for process in processes}
    assert printed == {secret(connection_id)["access_token"]}
    assert asked(google, mark) == 1


@pytest.mark.parametrize("place", ["tokens.after_answer", "tokens.after_commit"])
def test_a_process_that_dies_on_the_way_leaves_the_account_usable(portal, connection_id, google, place, monkeypatch):
    """SECURITY K8. The answer that was lost held only an access token; the next process waits for the lease to end, and asks again."""
    let_end(connection_id)
    before = secret(connection_id)
    process = reader_process(portal, connection_id, LOCKSTEP_FAILPOINT=place)
    process.communicate("go\n", timeout=20)
    assert process.returncode == -9
    assert (secret(connection_id) == before) == (place == "tokens.after_answer")
    with later(tokens.LEASE + timedelta(seconds=1)):
        assert stored(connection_id).current() == secret(connection_id)["access_token"] != before["access_token"]


def test_whoever_waits_in_vain_is_told_to_try_again(connection_id, google, mark, monkeypatch):
    monkeypatch.setattr(tokens, "PATIENCE", 0.3)
    until = now_utc() + OVER + tokens.LEASE
    values = {"token_lease": "another", "token_lease_until": until}
    transaction(lambda s: s.execute(update(Connection).where(Connection.id == connection_id).values(**values)))
    with later(OVER), pytest.raises(Temporary, match="waiting"):
        stored(connection_id).current()
    with later(NEARLY_OVER):  # it still lives: nobody waits for a renewal that another is at
        assert stored(connection_id).current() == secret(connection_id)["access_token"]
    assert asked(google, mark) == 0


def replaced_during(google, connection_id, ana, ask):
    """`ask()` while a slow request is under way, in the middle of which the person signs in again; gives what came of it, and the new secret."""
    google.fault(path="/token", kind="slow", seconds=0.8)
    new: list[dict[str, str]] = []
    app = tokens.current_app._get_current_object()

    def sign_in_again():
        time.sleep(0.3)
        with app.app_context():
            new.append(account_and_secret(ana)[1])
            keep(connection_id, **new[0])

    person = threading.Thread(target=sign_in_again)
    person.start()
    try:
        return ask(), new
    finally:
        person.join()


def test_a_person_who_signs_in_meanwhile_is_not_undone(connection_id, google, ana):
    reader = stored(connection_id)
    token, new = replaced_during(google, connection_id, ana, lambda: reader.renew(reader.current()))
    assert secret(connection_id)["refresh_token"] == new[0]["refresh_token"]
    assert token == new[0]["access_token"]


def test_a_grant_that_ended_does_not_hide_the_one_that_a_person_gave_meanwhile(connection_id, google, ana):
    keep(connection_id, refresh_token="a-token-that-ended")
    reader = stored(connection_id)
    token, new = replaced_during(google, connection_id, ana, lambda: reader.renew(reader.current()))
    assert token == new[0]["access_token"]


@pytest.mark.parametrize(
    ("age", "is_testing"),
    [(0, False), (5.9, False), (6.1, True), (7, True), (7.9, True), (8.1, False), (180, False)],
)
def test_a_grant_that_dies_after_seven_days_says_why(connection_id, ana, age, is_testing):
    keep(connection_id, granted_at=(now_utc() - timedelta(days=age)).isoformat())
    ana.revoke()
    reader = stored(connection_id)
    with pytest.raises(AccessRevoked) as told:
        reader.renew(reader.current())
    assert ("“Testing”" in str(told.value)) == is_testing


def test_a_sign_in_that_is_out_of_order_does_no_harm_while_the_token_lives(connection_id, google, mark):
    reader, first = stored(connection_id), secret(connection_id)["access_token"]
    google.fault(path="/token", kind="status", status=503, times=2)
    with later(NEARLY_OVER):
        assert reader.current() == reader.current() == first
        assert asked(google, mark) == 1  # it is not asked again at once
    with later(NEARLY_OVER + timedelta(seconds=40)):
        assert reader.current() == first
        assert asked(google, mark) == 2
    with later(NEARLY_OVER + timedelta(seconds=80)):
        assert reader.current() != first


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "html", "status": 200}, {"kind": "cut"}])
def test_a_sign_in_that_is_out_of_order_is_passing_trouble_and_the_lease_is_given_back(connection_id, google, fault):
    google.fault(path="/token", **fault)
    with later(OVER):
        with pytest.raises(Temporary):
            stored(connection_id).current()
        assert stored(connection_id).current() == secret(connection_id)["access_token"]


def test_no_token_is_fetched_inside_a_transaction(connection_id):
    reader = stored(connection_id)
    db.session.get_one(Connection, connection_id)
    assert db.session().in_transaction()
    with later(OVER), pytest.raises(RuntimeError):
        reader.current()


def test_a_portal_whose_google_project_is_gone_says_so(portal, connection_id, monkeypatch):
    reader = stored(connection_id)
    settings = dataclasses.replace(portal.extensions["settings"], google_client_id="")
    monkeypatch.setitem(portal.extensions, "settings", settings)
    with later(OVER), pytest.raises(Misconfigured, match="GOOGLE_CLIENT_ID"):
        reader.current()


@pytest.mark.parametrize("changes", [{"refresh_token": None}, {"expires_at": "soon"}, {"access_token": None}])
def test_a_secret_that_is_not_whole_is_named(connection_id, changes):
    keep(connection_id, **changes)
    with pytest.raises(Misconfigured, match="refresh the connection"):
        stored(connection_id)


def test_an_account_that_was_disconnected_meanwhile_is_named(connection_id):
    reader = stored(connection_id)
    transaction(lambda s: s.delete(s.get_one(Connection, connection_id)))
    with later(OVER), pytest.raises(Misconfigured, match="not connected any more"):
        reader.current()


def test_an_open_provider_outlives_its_access_tokens_but_not_a_new_grant(connection_id):
    def opened():
        reader = account(connection_id)
        with kept_provider(reader) as provider:
            return provider

    first = opened()
    keep(connection_id, access_token="the next one")
    assert opened() is first
    keep(connection_id, refresh_token="of another grant")
    assert opened() is not first


def test_the_tokens_of_a_connection_that_is_being_made_are_not_renewed():
    given = tokens.GivenTokens(GOOGLE, {"access_token": "a"})
    assert given.current() == "a"
    with pytest.raises(AccessRevoked, match="begin connecting again"):
        given.renew("a")


def test_nothing_secret_is_logged(connection_id, google, ana, caplog, capfd):
    """Neither when all goes well, nor when the sign-in refuses, nor in what an error says."""
    caplog.set_level(logging.DEBUG)
    google.rotate_refresh_tokens(True)
    texts, said = [secret(connection_id)], []
    reader = stored(connection_id)
    texts.append({"access_token": reader.renew(reader.current()), **secret(connection_id)})
    google.fault(path="/token", kind="status", status=503)
    for _ in range(2):
        try:
            reader.renew(reader.current())
        except (Temporary, AccessRevoked) as error:
            said.append(repr(error))
        ana.revoke()
    captured = capfd.readouterr()
    logged = caplog.text + captured.out + captured.err + "".join(said) + repr(reader._kept)
    assert len(said) == 2
    assert "/token" in caplog.text  # the requests themselves are seen
    hidden = {text[name] for text in texts for name in ("access_token", "refresh_token")} | {google.client_secret}
    assert not [text for text in hidden if text in logged]


@pytest.fixture
def two_calendars(portal, ana):
    """A resource with two busy sources of one account, with an event in each; gives its id and the connection's."""
    resource_id = make_resource(zone="UTC").id
    family, start_at = ana.make_calendar("Family"), at(2, 10)
    for calendar_id in (ana.email, family):
        ana.add_event(calendar_id, "Dentist", start_at, start_at + timedelta(hours=1))
    return resource_id, connect(ana, resource_id, calendar_ids=(ana.email, family)).id


@pytest.mark.parametrize(("after", "requests"), [(timedelta(0), 0), (NEARLY_OVER, 0), (OVER, 1)])
def test_a_last_look_sees_with_what_lives_and_asks_for_a_token_only_when_it_must(
    two_calendars, google, after, requests
):
    resource_id, _ = two_calendars
    mark = max(entry["no"] for entry in google.log())
    window = Interval(at(2, 9), at(2, 12))  # by today's date, which may be another one later
    with later(after):
        found = look([resource_id], window, now=now_utc())
    assert (len(found.busy), found.unreadable) == (2, [])
    assert asked(google, mark) == requests


def test_a_connection_that_dies_after_seven_days_shows_the_reason(two_calendars, ana):
    _, connection_id = two_calendars
    keep(connection_id, granted_at=(now_utc() - timedelta(days=7.1)).isoformat())
    ana.age_grant(7.1)
    calendar_id = db.session.scalars(select(Calendar.id).where(Calendar.connection_id == connection_id)).first()
    with pytest.raises(AccessRevoked):
        pull(calendar_id)
    db.session.rollback()
    connection = db.session.get_one(Connection, connection_id)
    assert connection.state == "needs reauth"
    assert "“Testing”" in connection.state_reason
