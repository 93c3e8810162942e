"""The `lockstep` command. Each command lives in its own module of `portal.commands` and is loaded when it is called, so that help is quick.

Exit status: 0 all is well, 1 something is wrong, 2 wrong usage. What goes wrong is one sentence on standard error, never a traceback,
unless it is a fault of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from portal.errors import PortalError
from providers.errors import ProviderError

# name -> (module:function, what it does), in the order in which a newcomer needs them
COMMANDS = {
    "serve": ("serve:serve", "Run it all: web, worker and the embedded queue server."),
    "web": ("serve:web", "Run the web server alone."),
    "worker": ("serve:worker", "Run the worker alone."),
    "db": ("database:db", "Look after the database."),
    "user": ("people:user", "Look after those who sign in."),
    "token": ("people:token", "Look after API tokens."),
    "seed": ("business:seed", "Load a business from a TOML file; run it again to change what differs."),
    "export": ("business:export", "Write the business into a TOML file that `seed` can read."),
    "import": ("business:import_", "The same as `seed`."),
    "connect": ("calendars:connect", "Connect a calendar."),
    "calendars": ("calendars:calendars", "List the connected calendars and how they are."),
    "pull": ("calendars:pull", "Read calendars now."),
    "reconcile": ("calendars:reconcile", "Compare every calendar with the bookings."),
    "outbox": ("operations:outbox", "Show what still has to be done outside, or try it again."),
    "mail-returned": (
        "mails:mail_returned",
        "Note a mail that came back: reads a delivery report from standard input.",
    ),
    "customer": ("customers:customer", "Export or erase one customer's data."),
    "doctor": ("operations:doctor", "Examine this instance and say what is wrong."),
    "keys": ("operations:keys", "Look after the encryption keys."),
    "backup": ("backup:backup", "Write everything into one file."),
    "restore": ("backup:restore", "Put a backup into an empty instance."),
    "adopt": ("adoption:adopt", "Let a copy or a restored backup go on in the other's place."),
}


class LazyGroup(click.Group):
    """A group that knows the names of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"portal.commands.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lockstep-portal", prog_name="lockstep")
def lockstep() -> None:
    """A booking portal whose bookings and calendars never disagree."""


def main() -> None:
    """Entry point of the `lockstep` script. Whatever it writes is for its user alone."""
    os.umask(0o077)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    try:
        result = lockstep.main(list(arguments), prog_name="lockstep", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        click.echo(f"lockstep: {sentence}", err=True)
        return 1
    return result if isinstance(result, int) else 0


def _sentence(error: Exception) -> str | None:
    """What to tell a person about an expected error; None for a fault of ours, whose traceback is wanted."""
    if isinstance(error, PortalError):
        fields = getattr(error, "fields", {})
        return " ".join([str(error), *fields.values()])
    if isinstance(error, ProviderError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}." if error.filename else str(error)
    if "portal.outbound.session" in sys.modules and isinstance(
        error, sys.modules["portal.outbound.session"].OutboundRefused
    ):
        return str(error)
    return _database_sentence(error) if "sqlalchemy" in sys.modules else None


def _database_sentence(error: Exception) -> str | None:
    from sqlalchemy.exc import OperationalError

    if not isinstance(error, OperationalError):
        return None
    reason = str(error.orig).strip().splitlines()[0]
    return f"The database cannot be used: {reason}. DATABASE_URL says where it is."
