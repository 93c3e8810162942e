"""What is remembered of a visitor without an account, all of it in cookies of theirs: the times kept for them and what they have just booked
(in the signed session), the zone that they chose; and their address for limits. The portal itself stores nothing of it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass

from flask import Response, current_app, request, session

from portal.booking.strangers.budgets import Visitor
from portal.business.models import Service
from portal.language import dates

MOST_HOLDS = 3
"""A visitor keeps at most so many times at once, one of each service."""
MOST_BOOKED = 3
"""So many of the newest bookings are known as the visitor's own, for who goes back to their forms."""
DEVICE_ZONE = "lockstep-device-zone"
"""Told by `booking.js` where a service is online and the device's clock is another than the business's; until the browser is closed."""
_REMEMBERED_FOR = 180 * 24 * 3600


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


def remember_booking(hold: str, manage_token: str) -> None:
    """What this visitor has made of a hold; the newest bookings alone."""
    others = [pair for pair in session.get("booked", []) if pair[0] != hold]
    session["booked"] = [*others, [hold, manage_token]][-MOST_BOOKED:]


def booked(hold: str) -> str | None:
    """The manage token of what this visitor has made of a hold."""
    return next((token for made_of, token in session.get("booked", []) if made_of == hold), None) if hold else None


def hold_of(manage_token: str) -> str | None:
    """The hold of which this visitor made the booking with this link; None for a booking that is not known as theirs."""
    return next((hold for hold, token in session.get("booked", []) if token == manage_token), None)


def remember_asked(hold: str, email: str, public_id: str = "") -> None:
    """What this visitor has made of a hold waits for a mail to this address to be read; `public_id` names it where it has to be confirmed by
    that. Nothing of it opens its link."""
    others = [row for row in session.get("asked", []) if row[0] != hold]
    session["asked"] = [*others, [hold, email, public_id]][-MOST_BOOKED:]


def asked(hold: str) -> tuple[str, str] | None:
    """The address that was written to about this hold, and the booking's public id if it has to be confirmed."""
    row = next((row for row in session.get("asked", []) if row[0] == hold), None) if hold else None
    return (row[1], row[2]) if row else None


def is_remote(service: Service) -> bool:
    """Whether everybody stays where they are, so that their own clocks count."""
    return bool(service.location_kind in ("online", "phone") or service.meeting)


def usual_zone(service: Service) -> str:
    """The zone in which this service opens for this visitor: chosen before, or the device's where nobody need travel; empty for the business's."""
    names = [_zone_cookie(service)] + [DEVICE_ZONE] * is_remote(service)
    zones = (request.cookies.get(name, "") for name in names)
    return next((zone for zone in zones if zone and dates.is_zone(zone)), "")


def follows_device(service: Service, zone: str) -> bool:
    """Whether the page is in this zone because the visitor's device is."""
    return is_remote(service) and zone == request.cookies.get(DEVICE_ZONE) and not has_chosen_zone(service)


def asks_device(service: Service) -> bool:
    """Whether a script may tell the zone of the device, for this service to open in."""
    return is_remote(service) and not has_chosen_zone(service)


def has_chosen_zone(service: Service) -> bool:
    """Whether the zone was chosen by the visitor, now or before."""
    return "zone" in request.args or dates.is_zone(request.cookies.get(_zone_cookie(service), ""))


def remember_zone(response: Response, service: Service) -> None:
    """Keep the zone that the page's address asks for, in the visitor's browser; for services that are online and for others apart."""
    name, zone = _zone_cookie(service), request.args.get("zone", "")
    if not dates.is_zone(zone) or zone == request.cookies.get(name):
        return
    is_secure = current_app.config["SESSION_COOKIE_SECURE"]
    response.set_cookie(name, zone, max_age=_REMEMBERED_FOR, secure=is_secure, httponly=True, samesite="Lax")


def _zone_cookie(service: Service) -> str:
    return "lockstep-zone-online" if is_remote(service) else "lockstep-zone"


def budget() -> Visitor | None:
    """Whose budgets this request is counted against; None where budgets are switched off (in tests)."""
    return Visitor(network()) if current_app.config["BUDGETS"] else None


def network() -> str:
    """What budgets count by: the /24 of an IPv4 address, the /64 of an IPv6 one. Which address that is, `TRUSTED_PROXIES` decides: a header that
    nobody trusts changes nothing."""
    text = request.remote_addr or "unknown"
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return text
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))


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
