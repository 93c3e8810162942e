"""The start-up self-test proves the guards, and notices when one is missing."""

import pytest
from sqlalchemy import func, select, text

from portal.booking.models import Booking
from portal.business.models import Resource
from portal.database.engine import begin_write
from portal.extensions import db
from portal.upkeep.self_test import NotGuarded, self_test


def test_the_guards_hold_and_nothing_stays_behind(app):
    proved = self_test()
    assert len(proved) == (3 if db.engine.dialect.name == "postgresql" else 2)
    assert db.session.scalar(select(func.count()).select_from(Resource)) == 0
    assert db.session.scalar(select(func.count()).select_from(Booking)) == 0


def test_a_missing_key_is_noticed(sqlite_app):
    begin_write(db.session())
    sql = db.session.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'claim'"))
    db.session.execute(text("ALTER TABLE claim RENAME TO claim_kept"))
    db.session.execute(text("CREATE TABLE claim (resource_id INTEGER, quantum_no INTEGER, appointment_id INTEGER)"))
    db.session.commit()
    try:
        with pytest.raises(NotGuarded, match="two claims"):
            self_test()
    finally:
        begin_write(db.session())
        db.session.execute(text("DROP TABLE claim"))
        db.session.execute(text("ALTER TABLE claim_kept RENAME TO claim"))
        db.session.commit()
    assert "PRIMARY KEY" in sql
    assert self_test()
