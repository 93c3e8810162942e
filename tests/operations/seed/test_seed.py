"""A business from a seed file: loaded, changed by loading again, refused as a whole when anything is wrong."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from portal.booking.operations import Customer, book
from portal.booking.time.queries import free_slots
from portal.business.models import (
    Business,
    Resource,
    Service,
)
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import read_transaction
from portal.errors import Invalid
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from portal.seed.apply import seed
from portal.seed.export import export_business
from tests.providers.servers import RadicaleServer

STUDIO = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
name = "Ana"
email = "ana@studio.example"
hours = { mon = ["09:00-13:00", "14:00-17:00"], tue = ["00:00-24:00"] }
closed = ["2027-01-06", 2027-01-07]
overrides = { "2027-01-05" = ["10:00-12:00"] }

[[resource]]
slug = "ben"
name = "Ben"
zone = "America/New_York"

[[resource]]
slug = "room-1"
kind = "room"
name = "Room 1"
hours = { mon = ["08:00-20:00"] }

[[service]]
slug = "consultation"
name = "Consultation"
duration = 30
notice = 60
resources = ["ana", "ben"]
also_needs = [["room-1"]]
"""


LAST = 'also_needs = [["room-1"]]'


def load(text, **environ):
    return seed(text, name="studio.toml", environ=environ)


def find(model, slug):
    db.session.expire_all()
    return db.session.scalars(select(model).where(model.slug == slug)).one()


def line(text, part):
    """The line where `part` first stands."""
    return text[: text.index(part)].count("\n") + 1


def lines_of(error):
    """The line numbers that a refusal names."""
    return [int(part.split("line ")[1].split(":")[0]) for part in str(error.value).splitlines()]


def test_a_whole_business_is_loaded(app):
    assert load(STUDIO) == [
        "business Studio Ana: new", "resource ana: new", "resource ben: new", "resource room-1: new", "service consultation: new",
    ]  # fmt: skip
    ana, ben, service = find(Resource, "ana"), find(Resource, "ben"), find(Service, "consultation")
    assert [(row.weekday, row.starts, row.ends) for row in ana.weekly_hours] == [
        (0, 540, 780),
        (0, 840, 1020),
        (1, 0, 1440),
    ]
    assert [(row.on_date, row.starts, row.ends) for row in ana.date_overrides] == [
        (date(2027, 1, 5), 600, 720), (date(2027, 1, 6), None, None), (date(2027, 1, 7), None, None),
    ]  # fmt: skip
    assert (ana.zone, ben.zone) == ("Europe/Madrid", "America/New_York")
    assert (service.duration, service.step, service.notice, service.horizon, service.capacity) == (30, 30, 60, 60, 1)
    room = find(Resource, "room-1")
    assert [(need.list_no, need.resource_id) for need in service.needs] == [(0, ana.id), (0, ben.id), (1, room.id)]


def test_loading_the_same_file_again_changes_nothing(app):
    load(STUDIO)
    instance_id = db.session.get(Business, 1).instance_id
    assert load(STUDIO) == []
    assert db.session.get(Business, 1).instance_id == instance_id
    assert db.session.scalar(select(func.count()).select_from(Resource)) == 3


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("duration = 30", "duration = 45\nstep = 30", "service consultation: duration 30 -> 45"),
        ('name = "Studio Ana"', 'name = "Studio Ana & Ben"', "business: name Studio Ana -> Studio Ana & Ben"),
        ('tue = ["00:00-24:00"]', 'tue = ["10:00-12:00"]', "resource ana: tue 00:00-24:00 -> 10:00-12:00"),
        (', tue = ["00:00-24:00"]', "", "resource ana: tue 00:00-24:00 -> closed"),
        ('"2027-01-06", ', "", "resource ana: 2027-01-06 closed -> weekly hours"),
        ("10:00-12:00", "10:00-13:00", "resource ana: 2027-01-05 10:00-12:00 -> 10:00-13:00"),
        ('["ana", "ben"]', '["ben"]', "service consultation: resources ana or ben -> ben"),
        ('["ana", "ben"]', '["ben", "ana"]', "service consultation: resources ana or ben -> ben or ana"),
        ("also_needs", "# also_needs", "service consultation: also_needs room-1 -> nothing"),
        ("notice = 60", "notice = 60\ncapacity = 12", "service consultation: capacity 1 -> 12"),
        ("notice = 60", 'notice = 60\nmeeting = "google"', "service consultation: meeting nothing -> google"),
        ("notice = 60", "notice = 60\napproval = true", "service consultation: approval no -> yes"),
        ("notice = 60", "notice = 60\nhidden = true", "service consultation: hidden no -> yes"),
        ("notice = 60", "notice = 60\nwaitlist = true", "service consultation: waitlist no -> yes"),
        ("notice = 60", "notice = 60\nper_customer = 2", "service consultation: per_customer nothing -> 2"),
        ("notice = 60", 'notice = 60\nprice = "40 €"', "service consultation: price nothing -> 40 €"),
        ("notice = 60", "notice = 60\nreminders = [60, 2880]", "service consultation: reminders 1440 -> 2880, 60"),
        ("notice = 60", "notice = 60\nreminders = []", "service consultation: reminders 1440 -> nothing"),
        ("notice = 60", 'notice = 60\nlocation_kind = "phone"', "service consultation: location_kind nothing -> phone"),
        ('name = "Studio Ana"', 'name = "Studio Ana"\nretention_days = 30', "business: retention_days nothing -> 30"),
        (LAST, f'{LAST}\n[[service.question]]\nname = "a"\nlabel = "A?"', "service consultation: question a new"),
    ],
)
def test_what_differs_is_changed_and_told(sqlite_app, old, new, change):
    load(STUDIO)
    assert load(STUDIO.replace(old, new)) == [change]
    assert load(STUDIO.replace(old, new)) == []
    assert len(load(STUDIO)) == 1


def test_what_the_file_does_not_name_is_left_alone(sqlite_app):
    load(STUDIO)
    rest = STUDIO.split("[[resource]]")[0]
    assert load(f'{rest}[[service]]\nslug = "x"\nname = "X"\nduration = 5\nresources = ["ben"]\n') == ["service x: new"]
    assert find(Service, "consultation").is_active
    assert find(Resource, "ana").is_active


def test_bookings_keep_their_time_and_their_people_when_a_service_changes(app):
    load(STUDIO)
    now = now_utc()
    window = Interval(now, now + timedelta(days=30))
    slot = free_slots(
        db.session(), find(Service, "consultation"), window=window, now=now, resource_id=find(Resource, "ana").id
    )[0]
    customer = Customer(name="Carla", email="carla@customer.example")
    start_at = slot.interval.start
    book(
        service_slug="consultation",
        start_at=start_at,
        customer=customer,
        idempotency_key="k1",
        now=now,
        resource_slug="ana",
    )
    load(STUDIO.replace('["ana", "ben"]', '["ben"]').replace("duration = 30", "duration = 60"))
    from portal.booking.models import Appointment
    from portal.upkeep.doctor import invariants

    appointment = db.session.scalars(select(Appointment)).one()
    assert (appointment.start_at, appointment.end_at) == (start_at, start_at + timedelta(minutes=30))
    assert find(Resource, "ana").id in [row.resource_id for row in appointment.resources]
    assert invariants(db.session()) == []


WRONG = """[business]
name = 3
zone = "Mars"
colour = "blue"
[[resource]]
slug = "Ana"
name = "A"
kind = "robot"
hours = { mon = ["9-10",
   "10:00-11:00", "10:30-12:00"], xyz = [] }
closed = ["2027-13-01"]
[[resource]]
slug = "ben"
name = "B"
[[resource.calendar]]
url = "ftp://x"
username = "ben"
pasword = "s"
roles = ["busy", "owner"]
freshness = 1
[[service]]
slug = "admin"
name = "x"
duration = 31
horizon = true
resources = ["bo"]
also_needs = ["a"]
[[service]]
slug = "late"
name = ""
duration = 30
resources = ["ben", "ben"]
notice = -5
[extra]
"""


def test_every_wrong_key_and_value_is_named_with_its_line(sqlite_app):
    with pytest.raises(Invalid) as error:
        load(WRONG)
    assert lines_of(error) == [2, 3, 4, 6, 8, 9, 10, 10, 11, 15, 16, 18, 19, 20, 22, 24, 25, 26, 27, 30, 32, 33, 34]
    sentences = str(error.value)
    for part in (
        "line 2: name must be a text in quotes, not 3.",
        "line 4: colour is not a known key",
        "line 10: “10:30-12:00” overlaps another range of the same day.",
        "line 15: password is missing.",
        "line 18: pasword is not a known key; did you mean password?",
        "line 22: slug must be another word: /admin is an address of the portal itself.",
        "line 24: duration must be a multiple of 5 minutes, not 31.",
        "line 26: there is no resource “bo”; add it as [[resource]].",
        "line 32: ben is named twice.",
        "line 33: notice must be between 0 and",
    ):
        assert f"studio.toml, {part}" in sentences


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('[business]\nname = "x', 2, "not valid TOML"),
        ("", 1, "[business] is missing"),
        ('[business]\nname = "x"\nzone = "UTC"\nresource = 1\n', 4, "resource is not a known key"),
        ('[business]\nname = "x"\nzone = "UTC"\n[resource]\nslug = "a"\n', 4, "must be written as [[resource]]"),
        ('[business]\nname = "x"\nzone = "UTC"\nlanguage = "english"\n', 4, "must be a code"),
        (
            '[business]\nname = "x"\nzone = "UTC"\n[[resource]]\nslug = "a"\nname = "A"\n[[resource]]\nslug = "a"\nname = "B"',
            8,
            "two with the slug",
        ),
    ],
)
def test_a_wrong_frame_is_named_with_its_line(sqlite_app, text, line, part):
    with pytest.raises(Invalid) as error:
        load(text)
    assert f"line {line}" in str(error.value)
    assert part in str(error.value)


QUESTION = """
[[service.question]]
name = "shoes"
label = "Size of shoes"
kind = "number"
required = true
[[service.question]]
name = "drink"
label = "Tea or coffee?"
kind = "choice"
choices = ["tea", "coffee"]
"""


def test_questions_keep_their_answers_when_they_change(sqlite_app):
    text = STUDIO + QUESTION
    load(text)
    ids = {row.name: row.id for row in find(Service, "consultation").questions}
    changed = (
        text.replace("Size of shoes", "Your size")
        .replace("required = true", "")
        .replace('[[service.question]]\nname = "drink"', '[[service.question]]\nname = "cup"')
    )
    assert load(changed) == [
        "service consultation: question drink removed", "service consultation: question shoes: label Size of shoes -> Your size",
        "service consultation: question shoes: required yes -> no", "service consultation: question cup new",
    ]  # fmt: skip
    rows = find(Service, "consultation").questions
    assert [(row.name, row.kind, row.choices) for row in rows] == [
        ("shoes", "number", []),
        ("cup", "choice", ["tea", "coffee"]),
    ]
    assert rows[0].id == ids["shoes"]


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("per_day = 0", "per_day must be between 1 and 1000, not 0"),
        ("approval = 1", "approval must be true or false, not 1"),
        ("reminders = [1]", "a reminder is a number of minutes from 5"),
        ("reminders = [60, 60]", "60 is named twice"),
        ("reminders = [10, 20, 30, 40, 50, 60]", "reminders must be at most 5"),
        ('location_kind = "moon"', "location_kind must be one of on-site, online or phone"),
        ("offer_minutes = 1", "offer_minutes must be between 5"),
        ('[[service.question]]\nlabel = "A?"\nname = "A b"', "name must be lower-case letters, digits, - and _"),
        ('[[service.question]]\nname = "a"\nlabel = "A?"\nkind = "choice"', "kind needs choices"),
        ('[[service.question]]\nname = "a"\nlabel = "A?"\nchoices = ["x"]', "choices belong to kind"),
        (f'{QUESTION}[[service.question]]\nlabel = "A?"\nname = "shoes"', "name is that of another question too"),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(sqlite_app, rule, part):
    text = STUDIO + rule if "question" in rule else STUDIO.replace("notice = 60", f"notice = 60\n{rule}")
    with pytest.raises(Invalid) as error:
        load(text)
    assert part in str(error.value)
    (found,) = lines_of(error)
    assert line(text, rule) <= found <= line(text, rule) + rule.count("\n")


def test_confirming_by_mail_is_asked_for_by_a_service_or_by_the_business(sqlite_app):
    text = STUDIO.replace('zone = "Europe/Madrid"', 'zone = "Europe/Madrid"\nconfirm_by_mail = true', 1)
    text = text.replace("[[service]]", "[[service]]\nconfirm_by_mail = true", 1)
    load(text)
    service = db.session.scalars(select(Service).where(Service.confirm_by_mail)).one()
    assert db.session.scalars(select(Business)).one().confirm_by_mail
    assert export_business(db.session()).count("confirm_by_mail = true") == 2
    load(STUDIO)
    db.session.rollback()
    assert not db.session.get(Service, service.id).confirm_by_mail
    assert not db.session.scalars(select(Business)).one().confirm_by_mail


def test_nobody_but_google_makes_links(sqlite_app):
    text = STUDIO.replace("notice = 60", 'notice = 60\nmeeting = "zoom"')
    with pytest.raises(Invalid, match=f"line {line(text, 'meeting')}: meeting must be one of google, not “zoom”"):
        load(text)


def test_a_google_calendar_waits_for_its_owners_consent(sqlite_app):
    text = with_calendar("https://calendar.example/").replace(
        "[[resource.calendar]]", '[[resource.calendar]]\nprovider = "google"'
    )
    with pytest.raises(Invalid, match="connected on the page /admin/integrations"):
        load(text)


def test_nothing_is_changed_when_anything_is_wrong(app):
    load(STUDIO)
    broken = STUDIO.replace("Studio Ana", "Other").replace("duration = 30", "duration = 7")
    with pytest.raises(Invalid, match=f"line {line(broken, 'duration')}: duration must be a multiple of 5"):
        load(broken)
    assert db.session.get(Business, 1).name == "Studio Ana"


def test_an_exported_business_loads_without_a_change(sqlite_app):
    rules = """notice = 60
location_kind = "phone"
price = "40 €"
per_day = 3
per_week = 9
per_customer = 1
approval = true
hidden = true
waitlist = true
offer_minutes = 60
reminders = []
"""
    text = STUDIO.replace('name = "Room 1"', 'name = "Room \\"1\\" \\\\ ü"').replace("notice = 60", rules) + QUESTION
    load(text.replace('zone = "Europe/Madrid"', 'zone = "Europe/Madrid"\nretention_days = 365', 1))
    assert find(Service, "consultation").needs_approval
    assert load(read_transaction(export_business)) == []


# --- calendars, on a real server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def radicale(tmp_path_factory):
    with RadicaleServer(tmp_path_factory.mktemp("radicale"), users={"ana": "secret"}) as server:
        server.make_calendar("ana", "bookings")
        yield server


@pytest.fixture
def allowed(sqlite_app, radicale, monkeypatch):
    """The app may reach the server, which is on this machine."""
    import dataclasses

    settings = sqlite_app.extensions["settings"]
    allowing = dataclasses.replace(settings, outbound_allow=(f"127.0.0.1:{radicale.port}",))
    monkeypatch.setitem(sqlite_app.extensions, "settings", allowing)
    return sqlite_app


def with_calendar(url, *, more="", password='password = "secret"'):
    calendar = f'[[resource.calendar]]\nurl = "{url}"\nusername = "ana"\n{password}\n{more}\n'
    return STUDIO.replace('[[resource]]\nslug = "ben"', f'{calendar}[[resource]]\nslug = "ben"')


def test_a_calendar_is_proven_and_connected(allowed, radicale):
    url = radicale.calendar_url("ana", "bookings")
    assert (
        load(with_calendar(url, more='when_moved = "ask"\nfreshness = 900'))[-1]
        == f"calendar {url} of ana: connected, 0 busy times found"
    )
    calendar = db.session.scalars(select(Calendar)).one()
    assert (calendar.remote_id, calendar.is_busy_source, calendar.is_destination) == (url, True, True)
    assert (calendar.when_moved, calendar.freshness, calendar.resource_id) == ("ask", 900, find(Resource, "ana").id)
    assert calendar.last_read_at is None  # read by the worker; until then it counts as unreadable
    assert unseal_secret(account_of(calendar.connection)) == {"password": "secret"}
    assert "secret" not in str(calendar.connection.sealed_secret)


def test_a_connected_calendar_is_changed_without_asking_its_server(allowed, radicale):
    url = radicale.calendar_url("ana", "bookings")
    load(with_calendar(url))
    radicale.stop()
    try:
        changes = load(with_calendar(url, more='roles = ["busy"]\nwhen_deleted = "cancel"\nprivacy = "full"'))
    finally:
        radicale.start()
    assert changes == [
        f"calendar {url} of ana: is_destination yes -> no",
        f"calendar {url} of ana: when_deleted ask -> cancel",
        f"calendar {url} of ana: privacy initials -> full",
    ]
    (entry,) = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "calendar.rewrite"))
    assert entry.subject == f"calendar:{db.session.scalars(select(Calendar.id)).one()}", "its events are written anew"
    load(read_transaction(export_business), ANA_CALDAV_PASSWORD="secret")
    assert len(list(db.session.scalars(select(OutboxEntry.id).where(OutboxEntry.topic == "calendar.rewrite")))) == 1


@pytest.mark.parametrize(
    ("path", "password", "part"),
    [
        ("ana/bookings/", 'password = "wrong"', "password"),
        ("ana/nothing/", 'password = "secret"', "is no calendar"),
    ],
)
def test_a_calendar_that_does_not_work_is_refused_with_its_line(allowed, radicale, path, password, part):
    text = with_calendar(radicale.url + path, password=password)
    with pytest.raises(Invalid, match=rf"studio\.toml, line {line(text, '[[resource.calendar')}: ") as error:
        load(text)
    assert part in str(error.value)
    assert db.session.scalar(select(func.count()).select_from(Connection)) == 0
    assert db.session.get(Business, 1) is None


def test_a_password_comes_from_the_environment(allowed, radicale):
    url = radicale.calendar_url("ana", "bookings")
    text = with_calendar(url, password='password_env = "ANA_PASSWORD"')
    with pytest.raises(
        Invalid, match=f"line {line(text, 'password_env')}: password_env names ANA_PASSWORD, which is not set"
    ):
        load(text)
    load(text, ANA_PASSWORD="secret")
    assert load(text, ANA_PASSWORD="secret") == []


def test_a_new_password_is_proven_and_sealed_again(allowed, tmp_path):
    with RadicaleServer(tmp_path, users={"ana": "old"}) as server:
        import dataclasses

        settings = allowed.extensions["settings"]
        allowed.extensions["settings"] = dataclasses.replace(settings, outbound_allow=(f"127.0.0.1:{server.port}",))
        url = server.make_calendar("ana", "bookings")
        load(with_calendar(url, password='password = "old"'))
        server.stop()
        server.users = {"ana": "new"}
        server.start()
        assert load(with_calendar(url, password='password = "new"')) == [f"calendar {url} of ana: new password"]
        assert unseal_secret(account_of(db.session.scalars(select(Connection)).one())) == {"password": "new"}


@pytest.mark.parametrize(
    ("old", "new", "rewrites"),
    [
        ('name = "Consultation"', 'name = "First visit"', 1),
        ('name = "Studio Ana"', 'name = "Studio Ana"\nlanguage = "es"', 1),
        ("duration = 30", "duration = 45", 0),
    ],
)
def test_what_events_tell_of_a_service_is_written_anew_when_it_differs(sqlite_app, old, new, rewrites):
    load(STUDIO)
    assert old in STUDIO
    load(STUDIO.replace(old, new, 1))
    subjects = list(db.session.scalars(select(OutboxEntry.subject).where(OutboxEntry.topic == "calendar.rewrite")))
    assert subjects == [f"service:{find(Service, 'consultation').id}"] * rewrites


def test_an_exported_calendar_names_a_variable_for_its_password(allowed, radicale):
    load(with_calendar(radicale.calendar_url("ana", "bookings")))
    text = read_transaction(export_business)
    assert 'password_env = "ANA_CALDAV_PASSWORD"' in text
    assert "secret" not in text
    assert load(text, ANA_CALDAV_PASSWORD="secret") == []


def test_the_demo_studio_is_a_good_seed_file():
    import portal
    from portal.seed.file import read_seed_file

    text = (Path(portal.__file__).parent / "demo" / "studio.toml").read_text(encoding="utf-8")
    file = read_seed_file(text, name="studio.toml", environ={"DEMO_CALENDARS_ANA": "x", "DEMO_CALENDARS_BEN": "y"})
    assert {service.values["assignment"] for service in file.services} == {"choose", "any", "all"}
    assert any(len(service.lists) > 1 for service in file.services)
