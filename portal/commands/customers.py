"""`lockstep customer ...`: what the law lets customers ask for."""

from __future__ import annotations

import json
from pathlib import Path

import click

from portal.commands import instance, say_json


@click.group()
def customer() -> None:
    """Export or erase one customer's data."""


@customer.command("export")
@click.argument("email")
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there instead of to standard output."
)
def export(email: str, file: Path | None) -> None:
    """Everything that is stored about an address, as JSON."""
    from portal.clock import now_utc
    from portal.extensions import db
    from portal.privacy.export import export_customer
    from portal.upkeep.private_files import write_private

    with instance():
        found = export_customer(db.session(), email, now=now_utc())
    text = json.dumps(found, ensure_ascii=False, indent=2)
    if file is None:
        click.echo(text)
    else:
        write_private(file, text + "\n")
        click.echo(f"Written to {file}.", err=True)


@customer.command("erase")
@click.argument("email")
@click.option(
    "--tell/--silent",
    default=True,
    show_default=True,
    help="Whether the customer is mailed about bookings that are cancelled for it.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def erase(email: str, tell: bool, yes: bool, as_json: bool) -> None:
    """Erase everything that is stored about an address. Bookings to come are cancelled. This cannot be undone."""
    from portal.clock import now_utc
    from portal.errors import NotYet
    from portal.extensions import db
    from portal.privacy import erase as erasing

    with instance():
        found = erasing.extent(db.session(), email, now=now_utc())
        if not yes:
            sentence = f"{found.bookings} bookings ({found.to_come} to come are cancelled), {found.entries} waitlist entries, {found.mails} mails."
            click.echo(sentence, err=True)
            click.confirm("Erase all this? It cannot be undone", abort=True, err=True)
        erasure_id = erasing.begin(email, is_told=tell, user_id=None, now=now_utc())
        is_done = True
        try:
            erasing.carry_on(erasure_id, now=now_utc())
        except NotYet as wait:
            is_done = False
            click.echo(f"{wait} The worker does the rest by itself.", err=True)
    if as_json:
        say_json({"is_done": is_done, "bookings": found.bookings, "entries": found.entries})
    elif is_done:
        click.echo("Erased.")
