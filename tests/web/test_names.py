"""A name with nothing to see is refused wherever a name is typed, and nothing typed is lost."""

from __future__ import annotations

import pytest

from portal.accounts.forms import read_setup
from portal.accounts.operations import add_api_token
from portal.admin.services.form import empty, read
from portal.booking.rules import Customer, check_customer
from portal.errors import Invalid
from portal.notifications.own_texts import check_text
from portal.seed.file import read_seed_file
from tests.factories import make_resource, make_service
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

NOTHING, TURNED, CONTROL = "\u200b\u2060\u3164", "\u202eanA\u2066", "An\x01a"
SEED = """
[business]
name = "{business}"
zone = "Europe/Madrid"
[[resource]]
slug = "ana"
name = "{resource}"
[[service]]
slug = "consultation"
name = "{service}"
duration = 30
resources = ["ana"]
"""


def of_customer(name):
    return check_customer(Customer(name, "ana@example.org")).name


def of_user(name):
    form = {"name": name, "password": PASSWORD, "password_again": PASSWORD}
    return read_setup(form, email="ana@studio.example", asks_for_business=False).name


def of_business(name):
    form = {
        "name": "Ana",
        "password": PASSWORD,
        "password_again": PASSWORD,
        "business_name": name,
        "zone": "Europe/Madrid",
    }
    return read_setup(form, email="ana@studio.example", asks_for_business=True).business_name


def of_service(name):
    typed = {**empty(), "name": name, "slug": "consultation", "list-1": ["1"], "list-0": ["1"]}
    return read(typed, resource_ids={1}, taken_slugs=()).values["name"]


def in_seed(place):
    def read_it(name):
        written = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in name)  # as TOML wants it
        names = {"business": "Studio", "resource": "Ana", "service": "Consultation", place: written}
        file = read_seed_file(SEED.format(**names), name="studio.toml", environ={})
        found = {"business": file.business, "resource": file.resources[0].values, "service": file.services[0].values}
        return found[place]["name"]

    return read_it


PLACES = {
    "customer": of_customer, "user": of_user, "business": of_business, "service": of_service,
    **{f"seed: {place}": in_seed(place) for place in ("business", "resource", "service")},
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_name_is_read_alike_everywhere(sqlite_app, place):
    assert PLACES[place](TURNED) == "anA"
    assert PLACES[place]("A\u0301na\u200b") == "Ána"
    for text in (NOTHING, CONTROL, "\u0301", "\u2800"):
        with pytest.raises(Invalid) as refused:
            PLACES[place](text)
        told = " ".join((str(refused.value), *refused.value.fields.values()))
        assert "can be seen" in told or "cannot be shown" in told


@pytest.mark.parametrize(
    "email", ["an\u200ba@example.org", "\u202eana@example.org", "ana@exam\u00adple.org", "ana@example.org\ufeff"]
)
def test_an_address_has_no_hidden_signs(sqlite_app, email):
    """Else one person has as many addresses as they like."""
    with pytest.raises(Invalid) as refused:
        check_customer(Customer("Ana", email))
    assert "email" in refused.value.fields


def test_a_token_has_a_name_to_see(sqlite_app):
    with pytest.raises(Invalid):
        add_api_token(NOTHING)


def test_the_public_form_says_it_at_the_field(sqlite_app):
    make_service([make_resource(weekly={day: [(0, 1440)] for day in range(7)})], slug="consultation")
    visitor = Visitor(sqlite_app).get("/consultation")
    visitor.press(visitor.times()[0])
    visitor.press("Book", name=NOTHING, email="ana@example.org")
    assert visitor.status == 422
    assert "letters that can be seen" in visitor.text()
    assert visitor.value("email") == "ana@example.org"


def test_a_question_and_a_mail_s_words_with_nothing_to_see_are_none(sqlite_app):
    typed = {
        "name": "Consultation",
        "slug": "consultation",
        "list-0": ["1"],
        "questions": "1",
        "q-0-label": NOTHING,
        "q-0-kind": "text",
    }
    with pytest.raises(Invalid) as refused_form:
        read({**empty(), **typed, "q-0-choices": "one"}, resource_ids={1}, taken_slugs=())
    assert refused_form.value.fields["q-0-label"].startswith("Please write the question")
    assert check_text(NOTHING, f"{NOTHING}\n\u2800", kind="booking-confirmed") == ("", "")
