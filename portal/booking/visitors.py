"""What is remembered of a visitor without an account: the times kept for them (in the signed session cookie), and their address for limits."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass

from flask import request, session

MOST_HOLDS = 3
"""A visitor keeps at most so many times at once, one of each service."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A hold of this visitor, with what is needed to offer the same time again when it has run out."""

    token: str
    start_at: str
    resource: str = ""
    people: int = 1


def kept(slug: str) -> Kept | None:
    """The hold that this visitor has (or had) on a time of this service."""
    values = session.get("holds", {}).get(slug)
    return Kept(**values) if values else None


def keep(slug: str, hold: Kept) -> list[str]:
    """Remember a hold. Returns the tokens of the oldest ones that are too many now, to be released."""
    holds = {name: values for name, values in session.get("holds", {}).items() if name != slug}
    surplus = list(holds)[: max(0, len(holds) + 1 - MOST_HOLDS)]
    released = [holds.pop(name)["token"] for name in surplus]
    session["holds"] = {**holds, slug: asdict(hold)}
    return released


def forget(slug: str) -> None:
    session["holds"] = {name: values for name, values in session.get("holds", {}).items() if name != slug}


def address() -> str:
    """What rate limits count by: the visitor's IPv4 address, or the /64 that one IPv6 customer has to themselves."""
    text = request.remote_addr or "unknown"
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return text
    if ip.version == 4:
        return text
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
