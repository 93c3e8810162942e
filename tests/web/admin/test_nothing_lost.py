"""Whoever opens a form and sends it as it stands changes nothing: what a page did not show is never lost by saving it.

The business is at the upper bound of everything that is declared of it. All pages of staff are walked by their links, and every form with
something to type or to choose is sent unchanged, as a browser without scripts would; then every row is as before.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from lxml import html
from sqlalchemy import select
from werkzeug.test import encode_multipart

from portal.booking.fixed import dates
from portal.business.fields.base import Kind, declared
from portal.business.fields.bounds import MOST_LISTS, MOST_QUESTIONS
from portal.business.fields.business import BusinessFields, CalendarRules
from portal.business.fields.kinds import Choices, Flag, Lengths, OneOf, Text, Whole
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Resource, ServiceQuestion
from portal.clock import now_utc
from portal.database.engine import read_transaction
from portal.extensions import Model, db
from portal.notifications import own_texts as texts
from portal.process.web_process import LARGEST_BODY
from portal.seed import load as seeding
from tests.factories import make_business, make_calendar, make_resource, make_service
from tests.support.people import make_user, signed_in

SESSIONS = {"user_session"}
"""Tables in which each visit leaves a trace."""
IDS_MAY_CHANGE = {"service_resource"}
FOUR_BYTES = "🧘"
"""As long as a sign gets on its way."""


def most(kind: Kind, *, turn: int = 0) -> Any:
    """The largest value that may stand in a field; of choices one after the other."""
    if isinstance(kind, Choices):
        if turn % 2:
            return [f"{number:03} <é>&" + "x" * 5 for number in range(250)]
        return [f"{number:02}" + FOUR_BYTES * 171 for number in range(20)] + [FOUR_BYTES * 20]
    if isinstance(kind, Lengths):
        return [43200, 40000, 1441, 61, 5]
    if isinstance(kind, Flag):
        return turn % 2 == 0
    if isinstance(kind, OneOf):
        return kind.values[turn % len(kind.values)]
    if isinstance(kind, Whole):
        return kind.bounds.most - kind.bounds.most % kind.bounds.step
    assert isinstance(kind, Text)
    if kind.lines:
        return "Line <é>\n\n  " + FOUR_BYTES * (kind.longest - 12)
    return FOUR_BYTES * (kind.longest - 5) + '<&">x'


def question(number: int, **others: Any) -> dict[str, Any]:
    kinds = declared(QuestionFields)
    values = {name: most(kind, turn=number) for name, kind in kinds.items()} | others
    return values | {
        "name": f"{'q' * 35}-{number}",
        "position": number,
        "choices": values["choices"] if values["kind"] == "choice" else [],
    }


@pytest.fixture
def studio(sqlite_app):
    """Everything at its upper bound, in four services, so that each choice is made once; the first is the longest that a form can get."""
    make_business(**{n: most(k) for n, k in declared(BusinessFields).items() if n not in ("zone", "language", "email")})
    people = [
        make_resource(slug=f"person-{number}", name=f"Person {number}", position=number) for number in range(MOST_LISTS)
    ]
    people[3].is_active = False
    for turn, slug in enumerate(("one", "two", "three", "four")):
        kinds = {name: kind for name, kind in declared(ServiceFields).items() if name not in ("slug", "timing")}
        values = {name: most(kind, turn=turn) for name, kind in kinds.items()} | {"is_active": True}
        service = make_service(*[people[::-1]] * MOST_LISTS, slug=slug, position=turn, **values)
        long = {"kind": "choice", "choices": most(declared(QuestionFields)["choices"])} if turn == 0 else {}
        service.questions = [ServiceQuestion(**question(number, **long)) for number in range(MOST_QUESTIONS)]
    for turn, person in enumerate(people[:4]):
        make_calendar(person, **{name: most(kind, turn=turn) for name, kind in declared(CalendarRules).items()})
    make_service([people[0]], slug="class", position=4, timing="fixed", capacity=500)
    dates.plan_date("class", (now_utc() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0), now=now_utc())
    texts.save_text(texts.Place(kind="booked", language="en"), "S" * 100, "Text\n\n  of <b>mails</b>\n")
    make_user("staff", name="Ben", resource_id=people[1].id)
    db.session.commit()
    return sqlite_app


def rows() -> dict[str, list[Any]]:
    db.session.rollback()
    found: dict[str, list[Any]] = {}
    for table in Model.metadata.sorted_tables:
        if table.name not in SESSIONS:
            columns = [column for column in table.columns if not (column.primary_key and table.name in IDS_MAY_CHANGE)]
            found[table.name] = sorted(map(repr, db.session.execute(select(*columns)).all()))
    return found


EDITS = {
    "admin.change_person", "admin.save_mail_text", "admin.save_service", "admin.set_retention", "integrations.rules",
}  # fmt: skip
"""Forms that show what stands, to be changed. All others with fields ask for something new, or for a password."""


class Walk:
    """All pages that links lead to, and their forms with fields."""

    def __init__(self, client: Any, endpoint_of: Any) -> None:
        self.client, self.endpoint_of = client, endpoint_of
        self.seen: set[str] = set()
        self.sent: dict[str, list[int]] = {}
        self.longest = 0

    def pages(self, start: str) -> Any:
        todo = [start]
        while todo:
            url = todo.pop(0)
            if url in self.seen:
                continue
            self.seen.add(url)
            response = self.client.get(url)
            if response.status_code != 200 or response.mimetype != "text/html":
                continue
            page = html.fromstring(response.get_data(as_text=True))
            todo += [link for link in map(self._inside, page.xpath("//a/@href")) if link]
            yield url, page

    def forms(self, url: str, page: Any) -> Any:
        for form in page.xpath('//form[translate(@method, "POST", "post") = "post"]'):
            if any(field.get("type") not in ("hidden", "submit") for field in form.inputs if field.tag != "button"):
                yield form.get("action") or url, form

    def send(self, url: str, form: Any) -> None:
        sent: dict[str, list[str]] = {}
        for name, value in form.form_values():
            sent.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\n", "\r\n"))
        boundary, body = encode_multipart(sent)
        kind = f'multipart/form-data; boundary="{boundary}"'
        if form.get("enctype") != "multipart/form-data":
            kind, body = "application/x-www-form-urlencoded", urlencode(sent, doseq=True).encode()
        self.longest = max(self.longest, len(body))
        answer = self.client.post(url, data=body, content_type=kind)
        endpoint = self.endpoint_of(url)
        if endpoint in EDITS:
            wrong = html.fromstring(answer.get_data(as_text=True)).xpath('//*[@class="field__error"]')
            assert answer.status_code == 303, (url, [f"{each.get('id')}: {each.text}" for each in wrong])
        self.sent.setdefault(endpoint, []).append(answer.status_code)

    def _inside(self, link: str) -> str:
        parts = urlsplit(link)
        is_ours = not parts.netloc and parts.path.startswith("/admin") and "mailbox" not in parts.path
        return parts.path + (f"?{parts.query}" if parts.query else "") if is_ours else ""


def test_a_form_that_is_sent_as_it_stands_changes_nothing(studio):
    adapter = studio.url_map.bind("localhost")
    walk = Walk(
        signed_in(studio, make_user("owner", name="Olga")),
        lambda url: adapter.match(urlsplit(url).path, method="POST")[0],
    )
    before = rows()
    for url, page in walk.pages("/admin"):
        for target, form in walk.forms(url, page):
            walk.send(target, form)
            after = rows()
            changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
            assert not changed, (url, target)
    assert 700_000 < walk.longest < LARGEST_BODY, "the server in front takes it"
    assert set(walk.sent) >= EDITS, "each of them was found by its link, and sent"


def test_the_export_of_all_that_may_stand_in_a_business_loads_again_and_changes_nothing(studio):
    for person in db.session.scalars(select(Resource)):
        person.is_active = True
    db.session.commit()
    text = read_transaction(seeding.export)
    before = rows()
    environ = dict.fromkeys(re.findall('password_env = "([^"]+)"', text), "secret")
    assert seeding.load(text, name="export.toml", environ=environ) == []
    after = rows()
    assert {name for name in before if before[name] != after[name]} == set()
