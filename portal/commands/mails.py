"""`lockstep mail-returned`"""

from __future__ import annotations

import sys

import click

from portal.commands import instance


@click.command("mail-returned")
def mail_returned() -> None:
    """Note that a mail came back: reads a delivery report (RFC 3464) from standard input, as a mail server hands it on."""
    from portal.clock import now_utc
    from portal.notifications.returned import LARGEST_REPORT, mark_returned, read_report

    report = read_report(sys.stdin.buffer.read(LARGEST_REPORT))
    with instance():
        click.echo(mark_returned(report, now=now_utc()))
