"""`lockstep outbox`, `outbox retry`, `doctor` and `keys rotate`."""

from __future__ import annotations

import click

from portal.commands import instance, say_json, say_table

_json = click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
_MARKS = {"ok": "ok  ", "warn": "look", "bad": "BAD "}


@click.group(invoke_without_command=True)
@click.option("--all", "show_all", is_flag=True, help="Also what is done.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10000))
@_json
@click.pass_context
def outbox(context: click.Context, show_all: bool, limit: int, as_json: bool) -> None:
    """Show what still has to be done outside: events to write, mails to send. Exit status 1 when something is stuck."""
    if context.invoked_subcommand is not None:
        return
    from sqlalchemy import select

    from portal.clock import now_utc
    from portal.extensions import db
    from portal.language.lengths import words
    from portal.outbox import OutboxEntry

    with instance():
        query = select(OutboxEntry).order_by(OutboxEntry.id.desc()).limit(limit)
        if not show_all:
            query = query.where(OutboxEntry.state.in_(("todo", "stuck")))
        entries = db.session.scalars(query).all()[::-1]
        names = ("id", "topic", "subject", "state", "attempts", "created_at", "next_at", "last_error")
        rows = [{name: getattr(entry, name) for name in names} for entry in entries]
    if as_json:
        say_json(rows)
    else:
        now = now_utc()
        shown = [
            {
                **{name: row[name] for name in names[:5]},
                "age": words(now - row["created_at"]),
                "reason": row["last_error"] or "",
            }
            for row in rows
        ]
        say_table(shown, empty="Nothing is waiting.")
    if any(row["state"] == "stuck" for row in rows):
        raise click.exceptions.Exit(1)


@outbox.command()
@click.argument("entry_ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1, 2**31 - 1))
@click.option("--all", "retry_everything", is_flag=True, help="Everything that is stuck, or failed and waits.")
@_json
def retry(entry_ids: tuple[int, ...], retry_everything: bool, as_json: bool) -> None:
    """Try again what is stuck or waits: these entries, or all. The worker begins at once, with mails within a minute."""
    if bool(entry_ids) == retry_everything:
        raise click.UsageError(
            "Name the entries to be tried again by their numbers in `lockstep outbox`, or say --all."
        )
    from portal.clock import now_utc
    from portal.doorbell import ring
    from portal.notifications import retrying

    with instance():
        found = retrying.retry_all(now=now_utc()) if retry_everything else retrying.retry(entry_ids, now=now_utc())
        ring()
    if as_json:
        say_json(found)
    elif found:
        click.echo(f"{len(found)} {'entry is' if len(found) == 1 else 'entries are'} tried again.")
    else:
        click.echo("Nothing is stuck, and nothing that failed is waiting.")


@click.command()
@click.option(
    "--strict", is_flag=True, help="Also count through all bookings: claims, seats, events, the ledger's chain."
)
@_json
def doctor(strict: bool, as_json: bool) -> None:
    """Examine this instance and say what is wrong. Exit status 1 when something must be done."""
    from dataclasses import asdict

    from portal.app import create_app
    from portal.upkeep.doctor import examine

    with create_app().app_context():
        findings = examine(strict=strict)
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.state]}  {finding.subject}: {finding.sentence}")
    if any(finding.state == "bad" for finding in findings):
        raise click.exceptions.Exit(1)


@click.group()
def keys() -> None:
    """Look after the encryption keys."""


@keys.command()
def rotate() -> None:
    """Seal all stored credentials with a new key. Stop Lockstep first: running processes know the old key only."""
    from portal.upkeep.keys import rotate as rotate_keys
    from portal.upkeep.vitals import require_stopped

    with instance() as app:
        require_stopped()
        settings = app.extensions["settings"]
        count = rotate_keys(settings)
    click.echo(f"{count} stored texts were sealed again with the new key.")
    if settings.encryption_keys:
        click.echo("You can remove the other keys from ENCRYPTION_KEYS now.")
