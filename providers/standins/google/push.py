"""Push channels and their messages: real HTTP requests without a body, from a few threads, tried again when the receiver is out of order.

Messages only ever go to this machine: a channel may name any HTTPS address, but nothing is sent to one elsewhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from providers.standins.google.model import Calendar, World
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]
USUAL_LIFE, LONGEST_LIFE = 7 * 86_400, 30 * 86_400
THREADS = 8
AGAIN = (500, 502, 503, 504)
PAUSES = (0.5, 1.0, 2.0, 4.0)
_AGENT = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"


@dataclass(slots=True)
class Channel:
    id: str
    calendar_id: str
    account: str
    address: str
    token: str
    resource_id: str
    resource_uri: str
    expires_at: float
    number: int = 0
    sent: list[Json] = field(default_factory=list)

    def body(self) -> Json:
        """The Channel resource, as the API tells it."""
        return {
            "kind": "api#channel",
            "id": self.id,
            "resourceId": self.resource_id,
            "resourceUri": self.resource_uri,
            **({"token": self.token} if self.token else {}),
            "expiration": str(int(self.expires_at * 1000)),
        }


class Post:
    """All channels, and the threads that deliver."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._channels: dict[str, Channel] = {}
        self._used: set[str] = set()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="push")
        self._local = threading.local()
        world.watchers.append(self.tell)

    def open(self, body: Json, *, calendar_id: str, account: str) -> Json:
        """events.watch. Raises Refused for an id used before, or an address that is not HTTPS."""
        channel_id, address = body.get("id") or "", body.get("address") or ""
        _check(channel_id, body.get("type") or "", address, token=body.get("token") or "")
        if channel_id in self._used:
            raise Refused("channelIdNotUnique", f"Channel id {channel_id} not unique")
        path = f"calendars/{quote(calendar_id)}/events?alt=json"
        channel = Channel(
            id=channel_id,
            calendar_id=calendar_id,
            account=account,
            address=address,
            token=body.get("token") or "",
            resource_id=hashlib.sha256(f"{account}/{calendar_id}".encode()).hexdigest()[:27],
            resource_uri=f"{self._world.url}/calendar/v3/{path}",
            expires_at=_expiry(body),
        )
        with self._world.lock:
            self._used.add(channel_id)
            self._channels[channel_id] = channel
        self._send(channel, "sync")
        return channel.body()

    def stop(self, body: Json, *, account: str) -> None:
        """channels.stop. Raises Refused for a channel that is not there."""
        channel = self._channels.get(body.get("id") or "")
        if channel is None or channel.resource_id != body.get("resourceId") or channel.account != account:
            raise Refused("notFound", f"Channel '{body.get('id')}' not found for project '1'")
        del self._channels[channel.id]

    def tell(self, calendar: Calendar) -> None:
        """Something changed in this calendar."""
        for channel in self.live(calendar.id):
            self._send(channel, "exists")

    def live(self, calendar_id: str | None = None) -> list[Channel]:
        """Channels that have not ended, of one calendar or of all."""
        now = time.time()
        for channel in list(self._channels.values()):
            if channel.expires_at <= now:
                self._channels.pop(channel.id, None)
        return [c for c in list(self._channels.values()) if calendar_id is None or c.calendar_id == calendar_id]

    def _send(self, channel: Channel, state: str) -> None:
        with self._world.lock:
            # Numbers rise, but not by one.
            channel.number = 1 if state == "sync" else channel.number + 1 + int(time.monotonic() * 1000) % 3
            number = channel.number
        if _is_here(channel.address):
            self._later(self._world.switches.push_delay, channel, state, number, PAUSES)

    def _later(self, seconds: float, *message: Any) -> None:
        """Deliver after a while, without keeping one of the few threads waiting."""
        if not seconds:
            self._pool.submit(self._deliver, *message)
            return
        timer = threading.Timer(seconds, self._pool.submit, (self._deliver, *message))
        timer.daemon = True
        timer.start()

    def _deliver(self, channel: Channel, state: str, number: int, pauses: tuple[float, ...]) -> None:
        headers = {
            "User-Agent": _AGENT,
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": formatdate(channel.expires_at, usegmt=True),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-URI": channel.resource_uri,
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(number),
            **({"X-Goog-Channel-Token": channel.token} if channel.token else {}),
        }
        status = self._post(channel.address, headers)
        channel.sent.append({"number": number, "state": state, "status": status})
        if status in AGAIN and pauses:
            self._later(pauses[0], channel, state, number, pauses[1:])

    def _post(self, address: str, headers: dict[str, str]) -> int | None:
        """The answer's status; None when there was none, which is not tried again."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        try:
            answer = self._local.session.post(address, headers=headers, data=b"", timeout=10, allow_redirects=False)
        except requests.RequestException:
            return None
        return int(answer.status_code)


def _check(channel_id: str, kind: str, address: str, *, token: str) -> None:
    if not channel_id or len(channel_id) > 64:
        raise invalid("Invalid channel id.", "id")
    if kind not in ("web_hook", "webhook"):
        raise invalid("Unknown channel type.", "type")
    if len(token) > 256 or not token.isascii():
        raise invalid("Invalid channel token.", "token")
    parts = urlsplit(address)
    if not parts.hostname:
        raise Refused("required", "entity.address is required.", status=400)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(address)):
        raise Refused("push.webhookUrlNotHttps", f"WebHook callback must be HTTPS: {address}", status=400)


def _expiry(body: Json) -> float:
    """Seconds of the epoch; asked for as milliseconds, or as seconds from now in `params.ttl`."""
    now = time.time()
    wanted = now + USUAL_LIFE
    if body.get("expiration"):
        wanted = int(body["expiration"]) / 1000
    elif (body.get("params") or {}).get("ttl"):
        wanted = now + float(body["params"]["ttl"])
    if wanted <= now:
        raise invalid("The expiration lies in the past.", "expiration")
    return min(wanted, now + LONGEST_LIFE)


def _is_here(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
