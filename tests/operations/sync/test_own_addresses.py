"""By which addresses a server knows the account: kept, used by every look, and what was read before they were known is read anew."""

from __future__ import annotations

from dataclasses import replace

from portal.calendars.open import calendar_ref
from portal.sync.models import LedgerLine
from tests.operations.sync.conftest import Studio, at, rows

ANA = frozenset({"ana@studio.example", "/principals/ana"})


def knows(studio: Studio, addresses: frozenset[str] | None) -> None:
    answer = studio.store.changes
    studio.store.changes = lambda *a, **k: replace(answer(*a, **k), own_addresses=addresses)  # type: ignore[method-assign]


def test_they_are_kept_and_used_by_every_look(studio: Studio):
    knows(studio, ANA)
    studio.pull()
    assert studio.connection().account["addresses"] == sorted(ANA)
    assert calendar_ref(studio.calendar()).own_addresses >= ANA
    knows(studio, None)
    studio.pull(is_complete=True)
    assert studio.connection().account["addresses"] == sorted(ANA), "a server that does not answer takes nothing back"


def test_what_was_read_before_they_were_known_is_read_anew(studio: Studio):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.booked(at(3, 10))
    studio.pull()
    knows(studio, ANA)
    studio.pull(is_complete=True)
    assert studio.calendar().sync_token is None
    assert {row.is_ours: bool(row.etag) for row in studio.objects()} == {True: True, False: False}
    outcome = studio.pull()
    assert (outcome.upserts, outcome.removals) == (1, 0)
    studio.pull()
    lines = len(rows(LedgerLine))
    studio.pull()
    assert len(rows(LedgerLine)) == lines, "and no oftener than once"


def test_an_account_without_any_stays_as_it_is(studio: Studio):
    before = dict(studio.connection().account)
    studio.pull()
    assert studio.connection().account == before
