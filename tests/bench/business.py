"""The little business that the benchmarks book with: one person who works day and night, and gives one service every half hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.instance import Instance

SEED = """
[business]
name = "Bench"
zone = "UTC"

[[resource]]
slug = "ana"
kind = "staff"
name = "Ana"
email = "ana@bench.example"
hours = {{ {hours} }}
{calendar}
[[service]]
slug = "consultation"
name = "Consultation"
duration = 30
step = 30
notice = 0
resources = ["ana"]
"""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def set_up(folder: Path, *, calendar: str = "", **environment: str) -> Instance:
    """A portal with that business, not started yet. `calendar` is a `[[resource.calendar]]` table of the seed file."""
    instance = Instance(folder / "portal", LOCKSTEP_POLL_SECONDS="30", **environment)
    instance.data.mkdir()
    seed = folder / "seed.toml"
    seed.write_text(SEED.format(calendar=calendar, hours=", ".join(f'{day} = ["00:00-24:00"]' for day in DAYS)))
    instance.run("seed", str(seed))
    return instance


def book(instance: Instance, token: str, start_at: datetime) -> None:
    """Through the API. Raises RuntimeError when it is refused."""
    customer = {"name": "Eva Sanz", "email": "eva@example.org"}
    body = {"service": "consultation", "start_at": zulu(start_at), "customer": customer}
    answer = instance.api("POST", "bookings", token=token, body=body, key=zulu(start_at))
    if answer.status_code != 201:
        raise RuntimeError(f"The booking was refused: {answer.status_code} {answer.text}")


def midnight(days: int) -> datetime:
    """So many days from today, in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def zulu(instant: datetime) -> str:
    """As the API writes instants."""
    return instant.isoformat().replace("+00:00", "Z")
