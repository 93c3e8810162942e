"""A class of 12 seats under storms of 200 people at once, fifty times on each database; `tests/support/storm.py` says what they do.

Counted: seats above the capacity, seconds that somebody waited beside seats that they fitted, and seconds from a cancellation (in the midst of
the storm, for another class) to the offer. PostgreSQL is measured where its programs are.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from portal.app import create_app
from portal.config import Settings
from tests.support import databases, postgres
from tests.support.storm import PEOPLE, Round, storms

ROUNDS = 50


def run(*, scale: float = 1.0) -> dict[str, dict[str, Any]]:
    """Name -> {"value", "unit", "limit", ...}."""
    rounds = max(int(ROUNDS * scale), 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        figures = _figures("SQLite", _storm(Path(name), databases.sqlite_url(Path(name)), rounds))
        programs = postgres.find_programs()
        if programs is None:
            return figures
        cluster = postgres.Cluster(programs)
        try:
            url = databases.create_postgres_database(cluster.url, "storm")
            return figures | _figures("PostgreSQL", _storm(Path(name), url, rounds))
        finally:
            cluster.stop()


def _storm(folder: Path, url: str, rounds: int) -> list[Round]:
    settings = Settings(data=folder, database_url=url, url="http://localhost", secret_key="bench" * 8)
    databases.migrate(settings)
    app = create_app(settings)
    with app.app_context(), storms(app) as here:
        return [here.run(number) for number in range(rounds)]


def _figures(database: str, rounds: list[Round]) -> dict[str, dict[str, Any]]:
    errors = [error for each in rounds for error in [*each.errors, *each.wrong]]
    done: Counter[str] = sum((each.done for each in rounds), Counter())
    after = [each.offered_after for each in rounds]
    waits = [each.longest_wait for each in rounds]
    name = f"waitlist, {PEOPLE} at once on {database}"
    return {
        f"{name}: seats over capacity": {
            "value": max(max(each.most_over for each in rounds), 0), "unit": "seats", "limit": 0,
            "rounds": len(rounds), "done": dict(done), "offers": sum(each.offers for each in rounds),
        },
        f"{name}: errors and broken invariants": {"value": len(errors), "unit": "", "limit": 0, "first": errors[:3]},
        f"{name}: longest wait beside a seat that fits": {
            "value": round(max(waits), 2), "unit": "s", "limit": 5.0, "median": round(statistics.median(waits), 2),
        },
        f"{name}: from a cancellation to the offer": {
            "value": round(max(after), 2), "unit": "s", "limit": 5.0, "median": round(statistics.median(after), 2),
        },
    }  # fmt: skip


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(run(scale=float(sys.argv[1]) if len(sys.argv) > 1 else 1.0), indent=2))
