"""Video meetings: `conferenceData.createRequest` becomes a link, at once or, if so switched, after a while (`pending`)."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from providers.standins.google import times
from providers.standins.google.model import Account, Calendar, World
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]


def with_conference(
    world: World, account: Account, calendar: Calendar, body: Json, *, old: Json | None, version: int
) -> Json:
    """The event with the conference it asked for. Without `conferenceDataVersion=1` what the caller says about it is ignored."""
    stood = (old or {}).get("conferenceData")
    if not version:
        body = {name: value for name, value in body.items() if name != "conferenceData"}
        return {**body, "conferenceData": stood} if stood else body
    wanted = body.get("conferenceData")
    if not wanted:
        return {name: value for name, value in body.items() if name not in ("conferenceData", "hangoutLink")}
    request = wanted.get("createRequest")
    if request is None or wanted == stood:
        return body
    if stood and stood.get("createRequest", {}).get("requestId") == request.get("requestId"):
        return {**body, "conferenceData": stood}  # the same request means the same meeting
    return _requested(world, account, calendar, body, request)


def _requested(world: World, account: Account, calendar: Calendar, body: Json, request: Json) -> Json:
    if not request.get("requestId"):
        raise invalid("Missing conference request id.", "conferenceData.createRequest.requestId")
    if request.get("conferenceSolutionKey", {}).get("type") != "hangoutsMeet" or not calendar.makes_meetings:
        raise Refused("invalid", "Invalid conference type value.")
    made = _made(account.email, request)
    if not world.switches.meeting_delay:
        return {**body, **made}
    timer = threading.Timer(world.switches.meeting_delay, _finish, (world, calendar, body["id"], made))
    timer.daemon = True
    timer.start()
    pending = {**_request(request), "status": {"statusCode": "pending"}}
    body = {name: value for name, value in body.items() if name != "hangoutLink"}
    return {**body, "conferenceData": {"createRequest": pending}}


def _finish(world: World, calendar: Calendar, event_id: str, made: Json) -> None:
    with world.lock:
        record = calendar.records.get(event_id)
        if record is None or record.is_gone or "conferenceData" not in record.body:
            return
        world.store(calendar, {**record.body, **made, "updated": times.stamp(times.now())})


def _made(email: str, request: Json) -> Json:
    code = _code(f"{email}/{request['requestId']}")
    return {
        "hangoutLink": f"https://meet.google.com/{code}",
        "conferenceData": {
            "createRequest": {**_request(request), "status": {"statusCode": "success"}},
            "entryPoints": [
                {
                    "entryPointType": "video",
                    "uri": f"https://meet.google.com/{code}",
                    "label": f"meet.google.com/{code}",
                }
            ],
            "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
            "conferenceId": code,
        },
    }


def _request(request: Json) -> Json:
    return {"requestId": request["requestId"], "conferenceSolutionKey": {"type": "hangoutsMeet"}}


def _code(seed: str) -> str:
    """Like `abc-defg-hij`."""
    letters = "".join(chr(97 + byte % 26) for byte in hashlib.sha256(seed.encode()).digest()[:10])
    return f"{letters[:3]}-{letters[3:7]}-{letters[7:]}"
