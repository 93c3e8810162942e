"""The page on which a copy is adopted, and where staff learn that nothing leaves the portal."""

from __future__ import annotations

import pytest

from portal.extensions import db
from portal.instance.standing import standing
from portal.upkeep.adoption import settle
from tests.factories import make_calendar
from tests.support.copies import make_foreign


def test_an_owner_reads_what_adopting_does_and_adopts_by_button(studio, admin):
    make_calendar(studio.ana)
    studio.book("Clara")
    make_foreign()
    text = admin.get("/admin/instance").get_data(as_text=True)
    for said in ("Adopt this portal?", "1 calendar is read completely", "2 mails that were waiting are dropped"):
        assert said in text, said
    answer = admin.post("/admin/instance/adoption")
    assert (answer.status_code, answer.location) == (303, "/admin")
    db.session.rollback()
    assert standing(db.session()).is_ours
    assert "This portal is adopted" in admin.get("/admin/instance").get_data(as_text=True)


def test_looking_at_the_page_adopts_nothing(studio, admin):
    make_foreign()
    admin.get("/admin/instance")
    db.session.rollback()
    assert not standing(db.session()).is_ours


def test_adopting_twice_says_that_it_is_done(studio, admin):
    settle()
    answer = admin.post("/admin/instance/adoption", follow_redirects=True)
    assert "adopted already" in answer.get_data(as_text=True)


def test_staff_may_not_adopt_but_are_told(studio, staff):
    make_foreign()
    assert staff.get("/admin/instance").status_code == 403
    assert staff.post("/admin/instance/adoption").status_code == 403
    text = staff.get("/admin").get_data(as_text=True)
    assert "Nothing leaves this portal" in text
    assert "/admin/instance" not in text


@pytest.mark.parametrize("page", ["/admin", "/admin/integrations"])
def test_today_and_the_calendars_say_it_and_lead_there(studio, admin, page):
    make_foreign()
    text = admin.get(page).get_data(as_text=True)
    assert "Nothing leaves this portal" in text
    assert 'href="/admin/instance"' in text


def test_a_copy_is_ready_however_long_its_outbox_rests(studio, admin):
    studio.book("Clara")
    make_foreign()
    problems = admin.get("/readyz").get_json()["problems"]
    assert [problem for problem in problems if "adopted" in problem or "outbox" in problem] == []
