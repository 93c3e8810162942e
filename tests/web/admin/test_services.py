"""The services page and the form of a service: without scripts, and with nothing lost of what was typed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.time.queries import soonest_slots
from portal.business.fields.bounds import MOST_QUESTIONS
from portal.business.models import Service
from portal.clock import now_utc
from portal.extensions import db
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from tests.factories import ask, make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in
from tests.support.visitor import Visitor, fields

FORM = "/admin/services/consultation"


@pytest.fixture
def visitor(studio, admin):
    """Olga, who fills in forms."""
    olga = Visitor(studio.app)
    olga.client = admin
    return olga


def find(slug="consultation"):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalar(select(Service).where(Service.slug == slug))


def save(visitor, **typed):
    return visitor.press(
        "Save the service", **{name.replace("q_", "q-").replace("__", "-"): value for name, value in typed.items()}
    )


def asked(service=None):
    return [(row.name, row.label, row.kind, row.is_required, row.choices) for row in (service or find()).questions]


def test_the_list_leads_to_the_pages_of_each_service(studio, visitor):
    make_service(
        [studio.ana],
        slug="yoga",
        name="Yoga & more",
        has_waitlist=True,
        is_hidden=True,
        needs_approval=True,
        capacity=8,
        price="12 €",
    )
    visitor.get("/admin/services")
    card = visitor.text('//li[contains(., "Yoga")]')
    for words in (
        "Yoga & more",
        "By link only",
        "You approve",
        "30 minutes · free times · up to 8 people · 12 € · waitlist",
        "Ana",
    ):
        assert words in card
    for name in ("Rules", "Waitlist", "Texts of mails", "Public page"):
        url = visitor.page.xpath(f'//li[contains(., "Yoga")]//a[starts-with(normalize-space(), "{name}")]/@href')[0]
        assert visitor.client.get(url).status_code == 200, name


def test_saving_the_form_as_it_stands_changes_nothing(studio, visitor):
    service = find()
    service.per_day, service.reminders, service.notice, service.price = 4, [2880, 90], 75, "12 €"
    db.session.commit()
    ask(service, "shoes", label="Shoes?", kind="choice", choices=["39", "40 & more"], is_required=True)
    ask(service, "name-of-dog", label="<b>Dog</b>?", position=1)
    before = {column.name: getattr(find(), column.name) for column in Service.__table__.columns}
    needs = [(need.list_no, need.resource_id) for need in find().needs]
    questions = asked()
    save(visitor.get(FORM))
    assert visitor.url == FORM
    assert "is saved" in visitor.text()
    assert {column.name: getattr(find(), column.name) for column in Service.__table__.columns} == before
    assert ([(need.list_no, need.resource_id) for need in find().needs], asked()) == (needs, questions)
    assert db.session.query(OutboxEntry).count() == 0


def test_all_rules_of_a_service_are_set_on_its_form(studio, visitor):
    room = make_resource(slug="room", name="Room", kind="room")
    visitor.get(FORM)
    save(
        visitor, name="Yoga", description="Bring\na towel.", location_kind="on-site", location="Calle Mayor 1", price="12 €", duration="60",
        step="15", buffer_before="5", buffer_after="10", notice="2 hours", horizon="30", capacity="12", assignment="any", per_day="3", per_week="9",
        per_customer="2", needs_approval="1", is_hidden="1", cancel_until="1 day", move_until="1 day 2 hours", reminders="2 hours, 1 day",
        has_waitlist="1", offer_minutes="1 hour", list__1=str(room.id), meeting="",
    )  # fmt: skip
    assert visitor.status == 200
    row = find()
    assert (row.name, row.description, row.location_kind, row.location, row.price) == (
        "Yoga",
        "Bring\na towel.",
        "on-site",
        "Calle Mayor 1",
        "12 €",
    )
    assert (row.duration, row.step, row.buffer_before, row.buffer_after, row.notice, row.horizon) == (
        60,
        15,
        5,
        10,
        120,
        30,
    )
    assert (row.capacity, row.assignment, row.per_day, row.per_week, row.per_customer) == (12, "any", 3, 9, 2)
    assert (row.needs_approval, row.is_hidden, row.has_waitlist, row.is_active) == (True, True, True, True)
    assert (row.cancel_until, row.move_until, row.reminders, row.offer_minutes) == (1440, 1560, [1440, 120], 60)
    assert [(need.list_no, need.resource_id) for need in row.needs] == [
        (0, studio.ana.id),
        (0, studio.ben.id),
        (1, room.id),
    ]
    save(visitor.get(FORM), per_day="", per_week="", per_customer="", reminders="")
    row = find()
    assert (row.per_day, row.per_week, row.per_customer, row.reminders) == (None, None, None, [])


def test_what_does_not_fit_is_told_beside_its_field_and_everything_typed_stays(studio, visitor):
    visitor.get(FORM)
    save(
        visitor, name=" ", duration="7", capacity="many", notice="soon", reminders="1 minute", per_day="0", horizon="9999",
        price="<12 €>", q_0__label="Colour?", q_0__kind="choice",
    )  # fmt: skip
    assert visitor.status == 422
    for field in ("name", "duration", "capacity", "notice", "reminders", "per_day", "horizon", "q-0-choices"):
        assert visitor.text(f'//*[@id="error-{field}"]'), field
        assert visitor.page.xpath(f'//*[contains(@class, "error-summary")]//a[@href="#field-{field}"]'), field
    for field, typed in {
        "duration": "7",
        "notice": "soon",
        "reminders": "1 minute",
        "price": "<12 €>",
        "q-0-label": "Colour?",
    }.items():
        assert visitor.value(field) == typed
    assert visitor.page.xpath('//input[@name="list-0"][@checked]/@value') == [str(studio.ana.id), str(studio.ben.id)]
    assert (find().name, find().price) == ("Consultation", "")


def test_a_service_needs_somebody_who_gives_it(studio, visitor):
    visitor.get(FORM)
    for box in visitor.page.xpath('//input[@name="list-0"]'):
        box.attrib.pop("checked", None)
    save(visitor)
    assert visitor.status == 422
    assert "at least one" in visitor.text('//*[@id="error-list-0"]')


def test_questions_are_added_changed_put_in_order_and_removed(studio, visitor):
    visitor.get(FORM)
    save(
        visitor, q_0__label="Which shoes?", q_0__kind="choice", q_0__choices="39\n\n 40 \n39", q_0__required="1",
        q_1__label="Allergies?", q_1__kind="text",
    )  # fmt: skip
    assert asked() == [
        ("which-shoes", "Which shoes?", "choice", True, ["39", "40"]),
        ("allergies", "Allergies?", "text", False, []),
    ]
    save(
        visitor,
        q_0__label="Your size?",
        q_0__order="2",
        q_1__order="1",
        q_2__label="Allergies?",
        q_2__order="3",
        q_2__kind="checkbox",
    )
    assert asked() == [
        ("allergies", "Allergies?", "text", False, []), ("which-shoes", "Your size?", "choice", True, ["39", "40"]),
        ("allergies-2", "Allergies?", "checkbox", False, []),
    ]  # fmt: skip
    save(visitor, q_0__remove="1")
    assert [name for name, *_ in asked()] == ["which-shoes", "allergies-2"]


def test_a_new_service_gets_an_address_of_its_name(studio, visitor):
    visitor.get("/admin/services/new")
    visitor.press("Make the service", name="Yoga für Anfänger!", **{"list-0": str(studio.ana.id)})
    assert visitor.url == "/admin/services/yoga-fur-anfanger"
    assert visitor.client.get("/yoga-fur-anfanger").status_code == 200
    visitor.get("/admin/services/new").press(
        "Make the service", name="Yoga fur Anfanger", **{"list-0": str(studio.ana.id)}
    )
    assert visitor.status == 422
    assert "has this address already" in visitor.text('//*[@id="error-slug"]')
    for name, slug in (("Admin", ""), ("Ω", ""), ("Yoga", "Not This"), ("Yoga", "mine")):
        visitor.get("/admin/services/new").press(
            "Make the service", name=name, slug=slug, **{"list-0": str(studio.ana.id)}
        )
        assert visitor.status == 422
        assert "The address" in visitor.text('//*[@id="error-slug"]')


def test_other_reminders_are_planned_for_what_is_booked(studio, visitor):
    service = find()
    start_at = soonest_slots(db.session(), service, now=now_utc(), limit=1, after=now_utc() + timedelta(days=5))[
        0
    ].interval.start
    operations.book(
        service_slug="consultation", start_at=start_at, customer=operations.Customer("Eva", "eva@example.org"), idempotency_key="k", now=now_utc()
    )  # fmt: skip
    save(visitor.get(FORM), reminders="2 days, 3 hours")
    db.session.rollback()
    due = sorted(row.due_at for row in db.session.scalars(select(Reminder)))
    assert due == [start_at - timedelta(days=2), start_at - timedelta(hours=3)]


def test_another_name_is_written_into_the_calendars_and_another_price_is_not(studio, visitor):
    make_calendar(studio.ana, last_read_at=now_utc())
    save(visitor.get(FORM), price="12 €")
    assert db.session.query(OutboxEntry).filter_by(topic="calendar.rewrite").count() == 0
    save(visitor.get(FORM), name="Talk")
    db.session.rollback()
    assert [entry.subject for entry in db.session.query(OutboxEntry).filter_by(topic="calendar.rewrite")] == [
        f"service:{find().id}"
    ]


def test_free_times_do_not_become_fixed_dates_while_something_is_booked(studio, visitor):
    studio.book()
    save(visitor.get(FORM), timing="fixed")
    assert visitor.status == 422
    assert "appointments to come" in visitor.text('//*[@id="error-timing"]')
    assert find().timing == "slots"


def test_a_closed_service_can_be_opened_again(studio, visitor):
    visitor.get(FORM)
    visitor.page.xpath('//input[@name="is_active"]')[0].attrib.pop("checked")
    save(visitor)
    assert visitor.client.get("/consultation").status_code == 404
    assert "Closed" in visitor.get("/admin/services").text()
    save(visitor.get(FORM), is_active="1")
    assert visitor.client.get("/consultation").status_code == 200


def test_somebody_who_left_stays_named_where_they_gave_it(studio, visitor):
    studio.ben.is_active = False
    db.session.commit()
    assert "Ben not active" in visitor.get(FORM).text()
    save(visitor)
    assert [need.resource_id for need in find().needs] == [studio.ana.id, studio.ben.id]
    assert "Ben" not in visitor.get("/admin/services/new").text()


def test_only_admins_change_services(studio, staff):
    admin = signed_in(studio.app, make_user("admin"))
    for address in ("/admin/services", "/admin/services/new", FORM):
        assert (staff.get(address).status_code, admin.get(address).status_code) == (403, 200)
    assert staff.post(FORM, data={"name": "Mine"}).status_code == 403
    assert find().name == "Consultation"


def test_a_new_service_with_fixed_dates_leads_to_where_they_are_planned(studio, visitor):
    visitor.get("/admin/services/new")
    chosen = {"name": "Pottery", "timing": "fixed", "list-0": str(studio.ana.id)}
    visitor.press("Make the service", **chosen)
    assert visitor.url == "/admin/services/pottery/dates"
    assert "plan them here" in visitor.text()


def test_a_question_and_a_list_that_the_page_did_not_show_stay(studio, visitor):
    """Whatever the reason: a page of an older version, a form that a program has filled in."""
    room = make_resource(slug="room", name="Room", kind="room")
    visitor.get(FORM)
    save(visitor, q_0__label="Shoes?", q_1__label="Allergies?", list__1=str(room.id))
    sent = {name: value for name, value in fields(visitor, "Save the service").items() if not name.startswith("q-1-")}
    sent.pop("list-1")
    visitor.client.post(FORM, data={**sent, "lists": "1", "q-0-label": "Size?"})
    assert [label for _, label, *_ in asked()] == ["Size?", "Allergies?"]
    assert [need.list_no for need in find().needs] == [0, 0, 1]
    save(visitor.get(FORM), q_1__remove="1", list__1=[])
    assert [label for _, label, *_ in asked()] == ["Size?"]
    assert [need.list_no for need in find().needs] == [0, 0], "seen, and taken out"


def test_more_questions_than_a_service_may_have_are_refused_and_not_cut_off(studio, visitor):
    visitor.get(FORM)
    typed = {f"q-{number}-label": f"Question {number}?" for number in range(MOST_QUESTIONS + 1)}
    visitor.press("Save the service", **typed)
    assert visitor.status == 422
    assert f"leave it at {MOST_QUESTIONS}" in visitor.text(f'//*[@id="error-q-{MOST_QUESTIONS}-label"]')
    assert visitor.value(f"q-{MOST_QUESTIONS}-label") == f"Question {MOST_QUESTIONS}?"
    assert asked() == []
