"""`lockstep user ...` and `lockstep token ...`"""

from __future__ import annotations

import click

from portal.commands import instance, say_json


@click.group()
def user() -> None:
    """Look after those who sign in."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice(["owner", "admin", "staff"]), required=True, help="What they may do.")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def add_user(email: str, role: str, as_json: bool) -> None:
    """Invite somebody: prints a link with which they choose their password. It works once, within three days."""
    from portal.accounts import operations

    with instance() as app:
        token = operations.add_user(email, role)
        link = f"{app.extensions['settings'].url}/setup/{token}"
    if as_json:
        say_json({"email": email, "role": role, "link": link})
    else:
        click.echo(f"Send this link to {email}; it works once:\n  {link}")


@click.group()
def token() -> None:
    """Look after API tokens."""


@token.command("add")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def add_token(name: str, as_json: bool) -> None:
    """Make an API token. It is printed once; only a hash of it is kept."""
    from portal.accounts import operations

    with instance():
        made = operations.add_api_token(name)
    if as_json:
        say_json({"name": name, "token": made})
    else:
        click.echo("Keep this token safe, it is not shown again:", err=True)
        click.echo(made)  # alone on standard output, for $(lockstep token add NAME)
