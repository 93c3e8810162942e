"""`lockstep adopt`."""

from __future__ import annotations

import click

from portal import doorbell
from portal.commands import instance


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(yes: bool) -> None:
    """Let a copy or a restored backup go on in the other's place: from then on it reads, writes, mails and reminds."""
    from portal.clock import now_utc
    from portal.database.engine import read_transaction
    from portal.errors import NotAllowedNow
    from portal.instance.standing import standing
    from portal.upkeep import adoption

    with instance():
        found = read_transaction(standing)
        if found.is_ours:
            raise NotAllowedNow("This portal is adopted already. Nothing was changed.")
        coming = read_transaction(lambda session: adoption.forecast(session, now=now_utc()))
        click.echo(
            f"{found.why} When you adopt it, {coming.calendars} calendars are compared before anything is written, {coming.mails} mails that "
            f"were waiting and {coming.reminders} reminders that came due meanwhile are dropped. The other installation must be stopped for good."
        )
        if not yes:
            click.confirm("Is it stopped, and shall this one go on in its place?", abort=True)
        done = adoption.adopt(by="the command line", now=now_utc())
        doorbell.ring()
    click.echo("Adopted.")
    if done.paused:
        click.echo(f"{done.paused} calendar accounts are paused. Resume them on the integrations page.")
