"""`lockstep connect caldav`, `calendars`, `pull` and `reconcile`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from portal import doorbell
from portal.commands import instance, read_password, say_json, say_table

if TYPE_CHECKING:
    from providers.calendars.base import RemoteCalendar

_json = click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
_one = click.option(
    "--calendar",
    "calendar_id",
    type=click.IntRange(1, 2**31 - 1),
    help="Only this one (its number in `lockstep calendars`).",
)


@click.group()
def connect() -> None:
    """Connect a calendar."""


@connect.command()
@click.option("--resource", "slug", required=True, help="Whose calendar it is: the slug of a resource.")
@click.option("--url", required=True, help="Address of the server, the account or the calendar itself.")
@click.option("--username", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@click.option("--calendar", "name", help="Name or address of the calendar, when the account has several.")
@click.option("--busy/--no-busy", default=True, show_default=True, help="Its events close times.")
@click.option("--destination/--no-destination", default=True, show_default=True, help="Bookings are written into it.")
@click.option(
    "--privacy",
    type=click.Choice(["busy only", "initials", "full"]),
    default="initials",
    show_default=True,
    help="What events tell of customers.",
)
@_json
def caldav(
    slug: str,
    url: str,
    username: str,
    password_stdin: bool,
    name: str | None,
    busy: bool,
    destination: bool,
    privacy: str,
    as_json: bool,
) -> None:
    """Connect a CalDAV calendar. Its first reading starts at once when a worker runs."""
    from portal.calendars.connect import ChosenCalendar, connect_caldav, list_remote

    if not busy and not destination:
        raise click.UsageError("With --no-busy and --no-destination the calendar would be of no use.")
    password = read_password(password_stdin)
    with instance():
        resource_id = _resource_id(slug)
        remote = _choose(list_remote(url, username, password), name)
        chosen = ChosenCalendar(
            remote_id=remote.remote_id,
            name=remote.name,
            zone=remote.zone or "",
            is_busy_source=busy,
            is_destination=destination,
            rules={"privacy": privacy},
        )
        done = connect_caldav(resource_id=resource_id, url=url, username=username, password=password, chosen=[chosen])
        doorbell.ring(drain=False)
    count = done.busy_counts[remote.remote_id]
    if as_json:
        say_json(
            {
                "connection": done.id,
                "calendar": done.calendar_ids[0],
                "remote_id": remote.remote_id,
                "busy_times": count,
            }
        )
    else:
        found = (
            f"{count} busy times in the next two months"
            if count is not None
            else "it is slow to answer; its first reading follows"
        )
        click.echo(f"Connected “{remote.name}” for {slug}: {found}.")


@click.command()
@_json
def calendars(as_json: bool) -> None:
    """List the connected calendars and how they are. Exit status 1 when one needs attention."""
    from portal.clock import now_utc
    from portal.extensions import db
    from portal.language.lengths import words
    from portal.sync.state.overview import list_calendars

    with instance():
        now = now_utc()
        facts = list_calendars(db.session())
        rows = [_row(fact) for fact in facts]
    if as_json:
        say_json(rows)
    else:
        shown = [
            {
                "no": row["id"], "resource": row["resource"], "calendar": row["name"],
                "state": f"{row['state']}, quarantine" if row["quarantine"] else row["state"],
                "read": f"{words(now - row['last_read_at'])} ago" if row["last_read_at"] else "not yet",
                "waiting": row["waiting"], "stuck": row["stuck"], "reason": row["reason"] or row["quarantine"] or "",
            }
            for row in rows
        ]  # fmt: skip
        say_table(shown, empty="No calendar is connected. `lockstep connect caldav --help` says how.")
    if any(row["state"] not in ("connected", "paused") or row["stuck"] or row["quarantine"] for row in rows):
        raise click.exceptions.Exit(1)


@click.command()
@_one
@_json
def pull(calendar_id: int | None, as_json: bool) -> None:
    """Read calendars now. Exit status 1 when one could not be read, or is in quarantine."""
    from portal.sync.pull.pull import pull as pull_one

    _for_each(calendar_id, pull_one, _pulled, as_json)


@click.command()
@_one
@_json
def reconcile(calendar_id: int | None, as_json: bool) -> None:
    """Compare every calendar with the bookings, as the worker does once a day. Exit status 1 when one could not be read."""
    from portal.sync.reconcile import reconcile as reconcile_one

    _for_each(calendar_id, reconcile_one, _reconciled, as_json)


def _for_each(calendar_id: int | None, work: Callable[[int], Any], tell: Callable[[Any], str], as_json: bool) -> None:
    """Run `work` for the calendars, and tell what came of each; one that fails does not keep the others from their turn."""
    from portal.errors import PortalError
    from providers.errors import ProviderError

    results: list[dict[str, Any]] = []
    with instance():
        ids = [calendar_id] if calendar_id is not None else _all_ids()
        with click.progressbar(ids, file=sys.stderr, hidden=as_json or len(ids) < 2) as bar:
            for number in bar:
                try:
                    outcome = work(number)
                    is_well = not getattr(outcome, "is_quarantined", False)
                    results.append({"calendar": number, "ok": is_well, "told": tell(outcome)})
                except (ProviderError, PortalError) as error:
                    results.append({"calendar": number, "ok": False, "told": str(error)})
    if as_json:
        say_json(results)
    else:
        for result in results:
            click.echo(f"calendar {result['calendar']}: {result['told']}")
        if not results:
            click.echo("No calendar is connected.")
    if not all(result["ok"] for result in results):
        raise click.exceptions.Exit(1)


def _pulled(outcome: Any) -> str:
    if outcome is None:
        return "somebody else is just reading it."
    held_back = (
        "; quarantine: removing so much at once waits for a decision on the integrations page"
        if outcome.is_quarantined
        else ""
    )
    return f"{outcome.upserts} new or changed, {outcome.removals} gone, {outcome.unchanged} as before{held_back}."


def _reconciled(report: Any) -> str:
    if report is None:
        return "somebody else is just reading it."
    return f"{_pulled(report.reading)} {report.republished} to be written again, {report.orphans} left-overs removed."


def _row(fact: Any) -> dict[str, Any]:
    calendar, connection = fact.calendar, fact.connection
    return {
        "id": calendar.id, "resource": fact.resource.slug, "name": calendar.name, "remote_id": calendar.remote_id,
        "provider": connection.provider, "account": connection.account.get("username", ""),
        "busy": calendar.is_busy_source, "destination": calendar.is_destination,
        "state": connection.state, "reason": connection.state_reason, "since": connection.state_since,
        "last_read_at": calendar.last_read_at, "last_written_at": calendar.last_written_at,
        "unreadable": calendar.unreadable_objects, "waiting": fact.waiting, "stuck": fact.stuck,
        "quarantine": _doubt(calendar.quarantine),
    }  # fmt: skip


def _doubt(quarantine: dict[str, Any] | None) -> str | None:
    """A sentence about events that are held back, or None."""
    if not quarantine:
        return None
    count, decision = quarantine["would_remove"], quarantine.get("decision")
    if decision:
        return f"{count} events that are no longer there are {'being removed' if decision == 'accept' else 'kept, as decided'}."
    return f"{count} known events are not there any more; they count until somebody decides on the integrations page."


def _choose(found: list[RemoteCalendar], name: str | None) -> RemoteCalendar:
    """The calendar of that name or address, or the only one. Raises NotFound with the names to choose from."""
    from portal.errors import NotFound

    fitting = [one for one in found if name is None or name in (one.name, one.remote_id)]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise NotFound("This account has no calendar that can hold events.")
    names = "".join(f"\n  {one.name}  {one.remote_id}" for one in found)
    if name is None:
        raise NotFound(f"This account has several calendars; choose one with --calendar:{names}")
    what = "several calendars are" if fitting else "no calendar is"
    raise NotFound(f"In this account {what} called “{name}”; choose one by name or address:{names}")


def _resource_id(slug: str) -> int:
    from sqlalchemy import select

    from portal.business.models import Resource
    from portal.errors import NotFound
    from portal.extensions import db

    ids: dict[str, int] = {row.slug: row.id for row in db.session.execute(select(Resource.slug, Resource.id))}
    db.session.rollback()
    if slug not in ids:
        raise NotFound(f"There is no resource {slug}. Known: {', '.join(sorted(ids)) or 'none yet'}.")
    return ids[slug]


def _all_ids() -> list[int]:
    from sqlalchemy import select

    from portal.calendars.models import Calendar, Connection
    from portal.database.engine import read_transaction

    in_use = select(Calendar.id).join(Connection).where(Connection.leaving.is_(False)).order_by(Calendar.id)
    return list(read_transaction(lambda session: session.scalars(in_use).all()))
