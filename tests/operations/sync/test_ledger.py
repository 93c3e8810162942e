"""The ledger: told in order, sealed in order, and altered not unnoticed."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select, update

from portal.database.engine import read_transaction, transaction
from portal.sync import ledger
from portal.sync.models import LedgerLine


def tell(count, *, kind="read"):
    def work(session):
        for n in range(count):
            ledger.write(session, kind, f"Sentence {n} · “quoted”", calendar_id=n, details_of="nothing")

    transaction(work)


def broken_line():
    return read_transaction(lambda session: (line := ledger.verify(session)) and line.seal_no)


@pytest.fixture
def sealed(app):
    tell(5)
    transaction(ledger.seal_lines)
    tell(5)
    transaction(ledger.seal_lines)


def test_lines_are_chained_in_order(sealed):
    numbers = read_transaction(lambda s: s.scalars(select(LedgerLine.seal_no).order_by(LedgerLine.id)).all())
    assert numbers == list(range(1, 11))
    assert broken_line() is None


def test_lines_that_are_not_sealed_yet_are_no_break(sealed):
    tell(1)
    assert broken_line() is None
    assert read_transaction(ledger.unsealed) == 1


def test_sealing_goes_batch_by_batch(app):
    tell(5)
    assert transaction(lambda session: ledger.seal_lines(session, limit=3)) == 3
    assert transaction(lambda session: ledger.seal_lines(session, limit=3)) == 2
    assert transaction(lambda session: ledger.seal_lines(session, limit=3)) == 0
    assert broken_line() is None


@pytest.mark.parametrize(
    "changes", [{"sentence": "Nothing happened."}, {"kind": "x"}, {"details": {}}, {"calendar_id": 77}]
)
def test_an_altered_line_is_the_first_broken_one(sealed, changes):
    transaction(lambda session: session.execute(update(LedgerLine).where(LedgerLine.seal_no == 4).values(**changes)))
    assert broken_line() == 4


def test_a_removed_line_breaks_the_chain_after_it(sealed):
    transaction(lambda session: session.execute(delete(LedgerLine).where(LedgerLine.seal_no == 4)))
    assert broken_line() == 5


def test_an_altered_line_cannot_hide_behind_a_new_seal_of_its_own(sealed):
    def forge(session):
        line = session.scalars(select(LedgerLine).where(LedgerLine.seal_no == 4)).one()
        line.sentence = "Forged"
        before = session.scalars(select(LedgerLine.seal).where(LedgerLine.seal_no == 3)).one()
        line.seal = ledger._seal(line, number=4, previous=before)

    transaction(forge)
    assert broken_line() == 5


def test_an_empty_ledger_is_whole(app):
    assert broken_line() is None
    assert transaction(ledger.seal_lines) == 0
