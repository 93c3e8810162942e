"""`lockstep user ...` and `lockstep token ...`"""

from __future__ import annotations

from typing import Any

import click

from portal.commands import instance, say_json, say_table


@click.group()
def user() -> None:
    """Look after those who sign in."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice(["owner", "admin", "staff"]), required=True, help="What they may do.")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def add_user(email: str, role: str, as_json: bool) -> None:
    """Invite somebody: prints a link with which they choose their password. It works once, within three days.

    An earlier link for the same address ends. A link that was made for want of an owner ends as soon as there is one.
    """
    from portal.accounts import operations

    with instance() as app:
        token = operations.add_user(email, role)
        link = f"{app.extensions['settings'].url}/setup/{token}"
    if as_json:
        say_json({"email": email, "role": role, "link": link})
    else:
        click.echo(f"Send this link to {email}; it works once:\n  {link}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def list_users(as_json: bool) -> None:
    """List those who sign in, and open invitations."""
    from portal.accounts import queries
    from portal.clock import now_utc
    from portal.extensions import db

    with instance():
        session = db.session()
        people = [
            (row.email, row.role, "can sign in" if row.is_enabled else "shut out")
            for row in queries.list_users(session)
        ]
        people += [(row.email, row.role, "invited") for row in queries.open_invitations(session, now=now_utc())]
    rows = [{"email": email, "role": role, "state": state} for email, role, state in people]
    say_json(rows) if as_json else say_table(
        rows, empty="Nobody has been invited yet. `lockstep user add EMAIL --role owner` makes the first link."
    )


@user.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice(["owner", "admin", "staff"]))
@click.option("--resource", "slug", help="Whose calendar a member of staff sees (slug). Default: as it is.")
def change_role(email: str, role: str, slug: str | None) -> None:
    """Give a user another role. It holds at once."""
    from portal.accounts import members
    from portal.clock import now_utc

    with instance():
        row = _find(email)
        resource_id = _resource_id(slug) if slug else row.resource_id
        members.change_role(row.id, role, resource_id=resource_id, by_id=None, now=now_utc())
    click.echo(f"{email} is {role} now.")


@user.command("remove")
@click.argument("email")
def remove_user(email: str) -> None:
    """Delete a user, who is signed out everywhere, or withdraw an invitation."""
    from portal.accounts import members, operations, queries
    from portal.accounts.models import SetupLink
    from portal.clock import now_utc
    from portal.database.engine import transaction
    from portal.errors import NotFound
    from portal.extensions import db

    with instance():
        now, address = now_utc(), email.strip().lower()
        found = queries.find_user(db.session(), address)
        if found is not None:
            members.remove_user(found.id, by_id=None, now=now)
        elif not transaction(lambda session: operations.end_links(session, SetupLink.email == address, now=now)):
            raise NotFound(f"There is neither a user nor an open invitation with the address {email}.")
    click.echo(f"{email} is removed." if found is not None else f"The invitation of {email} is withdrawn.")


@user.command("reset")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def reset_password(email: str, as_json: bool) -> None:
    """Print a link with which a user chooses a new password. It works once, within half an hour; all their devices are signed out then."""
    from portal.accounts import resets
    from portal.clock import now_utc

    with instance() as app:
        token = resets.print_link(email, now=now_utc())
        link = f"{app.extensions['settings'].url}/admin/new-password/{token}"
    if as_json:
        say_json({"email": email, "link": link})
    else:
        click.echo(f"Send this link to {email}; it works once, within half an hour:\n  {link}")


def _find(email: str) -> Any:
    from portal.accounts import queries
    from portal.errors import NotFound
    from portal.extensions import db

    found = queries.find_user(db.session(), email.strip().lower())
    if found is None:
        raise NotFound(f"There is no user with the address {email}. `lockstep user list` names them all.")
    return found


def _resource_id(slug: str) -> int:
    from sqlalchemy import select

    from portal.business.models import Resource
    from portal.errors import NotFound
    from portal.extensions import db

    found = db.session.scalar(select(Resource.id).where(Resource.slug == slug))
    if found is None:
        raise NotFound(f"There is no resource “{slug}”.")
    return int(found)


@click.group()
def token() -> None:
    """Look after API tokens."""


@token.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="What it may do: read-availability, book, read-bookings, administer. May be given several times. Default: all.",
)
@click.option(
    "--expires",
    default="365",
    show_default=True,
    metavar="WHEN",
    help="A number of days, a day such as 2030-06-30, or never.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def add_token(name: str, scopes: tuple[str, ...], expires: str, as_json: bool) -> None:
    """Make an API token. It is printed once; only a hash of it is kept."""
    from portal.accounts import operations
    from portal.accounts.forms import read_expiry
    from portal.accounts.models import SCOPES
    from portal.clock import now_utc

    with instance():
        expires_at = read_expiry(expires, now=now_utc())
        made = operations.add_api_token(name, scopes=scopes or SCOPES, expires_at=expires_at)
    allowed = [scope for scope in SCOPES if not scopes or scope in scopes]
    if as_json:
        say_json({"name": name, "token": made, "scopes": allowed, "expires_at": expires_at and expires_at.isoformat()})
    else:
        end = f"ends on {expires_at:%Y-%m-%d}" if expires_at else "has no end"
        click.echo(f"Keep this token safe, it is not shown again. It may {', '.join(allowed)}, and {end}:", err=True)
        click.echo(made)  # alone on standard output, for $(lockstep token add NAME)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Answer for a program.")
def list_tokens(as_json: bool) -> None:
    """List the API tokens: what they may do, until when, and when they were last used."""
    from portal.accounts import queries
    from portal.clock import now_utc
    from portal.extensions import db

    with instance():
        now = now_utc()
        rows = [
            {
                "id": row.id, "name": row.name, "state": row.state(now), "scopes": row.scopes, "created_at": row.created_at,
                "expires_at": row.expires_at, "last_used_at": row.last_used_at,
            }
            for row, _ in queries.list_api_tokens(db.session())
        ]  # fmt: skip
    if as_json:
        say_json(rows)
    else:
        say_table(
            [_in_words(row) for row in rows], empty="There are no API tokens. `lockstep token add NAME` makes one."
        )


@token.command("revoke")
@click.argument("which", metavar="NAME|NUMBER")
def revoke_token(which: str) -> None:
    """End an API token, at once. Of several with one name, name the number that `token list` shows."""
    from portal.accounts import operations, queries
    from portal.clock import now_utc
    from portal.errors import Invalid, NotFound
    from portal.extensions import db

    with instance():
        now = now_utc()
        rows = [row for row, _ in queries.list_api_tokens(db.session())]
        found = [row for row in rows if row.name == which and row.revoked_at is None] or [
            row for row in rows if str(row.id) == which
        ]
        if not found:
            raise NotFound(f"There is no token “{which}” that could be revoked. `lockstep token list` names them all.")
        if len(found) > 1:
            raise Invalid(
                f"Several tokens are called “{which}”: say the number of one ({', '.join(str(row.id) for row in found)})."
            )
        name, number = found[0].name, found[0].id
        operations.revoke_api_token(number, now=now)
    click.echo(f"The token “{name}” ({number}) does not work any more.")


def _in_words(row: dict[str, Any]) -> dict[str, str]:
    day = {
        name: f"{row[name]:%Y-%m-%d}" if row[name] else "never" for name in ("created_at", "expires_at", "last_used_at")
    }
    return {
        "no": str(row["id"]), "name": row["name"], "state": row["state"], "may": ", ".join(row["scopes"]), "made": day["created_at"],
        "ends": day["expires_at"], "last used": day["last_used_at"],
    }  # fmt: skip
