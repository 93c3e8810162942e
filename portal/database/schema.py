"""Whether the database has the newest tables, found out without Alembic (whose import alone takes longer than the question), and the upgrade."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import ModuleType

from flask import current_app
from sqlalchemy import inspect, text

from portal.errors import Invalid
from portal.extensions import db

VERSIONS = Path(__file__).resolve().parents[1] / "migrations" / "versions"
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*=\s*(?:['\"](\w+)['\"]|None)", re.MULTILINE)


@cache
def revisions() -> dict[str, str]:
    """Revision -> the one before it ("" for the first)."""
    found = {}
    for path in VERSIONS.glob("*.py"):
        names = dict(_REVISION.findall(path.read_text(encoding="utf-8")))
        found[names["revision"]] = names.get("down_revision", "")
    return found


def newest() -> str:
    """The revision that this program needs."""
    (head,) = set(revisions()) - set(revisions().values())
    return head


def current() -> str:
    """The revision of the database; empty before the first upgrade. Needs an app context."""
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def upgrade(revision: str = "head") -> bool:
    """Bring the tables up to date, all of them or none; False when they were. Raises Invalid when a newer program has been at them.

    `portal.backups.upgrade` is the way for databases that hold something: it writes a backup first.
    """
    before = current()
    if before == newest():
        return False
    refuse_newer(before)
    migrations().upgrade(revision=revision)
    return True


def migrations() -> ModuleType:
    """Flask-Migrate's commands for the current app. Bound late, for importing Alembic costs every start a third of a second."""
    import flask_migrate

    flask_migrate.Migrate(current_app, db, directory=str(VERSIONS.parent))
    module: ModuleType = flask_migrate
    return module


def require_current() -> None:
    """Make the tables in a database that has none yet; raises Invalid when it has older ones."""
    before = current()
    if not before:
        upgrade()
    elif before != newest():
        refuse_newer(before)
        raise Invalid(
            "The database is not up to date. Run `lockstep db upgrade` first (`lockstep serve` does it by itself)."
        )


def refuse_newer(revision: str) -> None:
    if revision and revision not in revisions():
        raise Invalid(
            f"The database was used by a newer Lockstep (revision {revision}); this one knows {newest()}. "
            "Install the newer version, or restore a backup made with this one."
        )
