"""Several API requests in one: multipart/mixed, each part a small HTTP message (guides/batch)."""

from __future__ import annotations

import email.parser
import email.policy
import secrets
import time
from http import HTTPStatus

from providers.standins.google.api.wire import Answer, Asked, Served, Wire, row_of
from providers.standins.google.model import World
from providers.standins.google.problems import envelope

MOST = 50


def serve(wire: Wire, asked: Asked, world: World) -> Served:
    """The answer to a batch. Its parts are logged one by one."""
    parts = _parts(asked)
    if not 0 < len(parts) <= MOST:
        problem = envelope(400, "badRequest", message=f"A batch holds 1 to {MOST} requests.")
        return Served(Answer.of(400, problem), "batch")
    boundary = f"batch_{secrets.token_hex(12)}"
    pieces = []
    for content_id, inner in parts:
        began = time.monotonic()
        served = wire.serve(inner)
        world.note({**row_of(inner, served, began=began, status=served.answer.status), "in_batch": True})
        pieces.append(_piece(boundary, content_id, served.answer))
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return Served(Answer(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"}), "batch")


def _parts(asked: Asked) -> list[tuple[str, Asked]]:
    """(Content-ID, request) of each part. The token of the batch serves for parts without their own."""
    head = f"Content-Type: {asked.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + asked.body)
    if not message.is_multipart():
        return []
    return [
        (part.get("Content-ID", ""), _inner(payload, asked))
        for part in message.iter_parts()
        if isinstance(payload := part.get_payload(decode=True), bytes)
    ]


def _inner(packed: bytes, outer: Asked) -> Asked:
    head, _, body = packed.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, target, *_ = first.split(" ")
    path, _, query = target.partition("?")
    path = "/" + path.split("://", 1)[1].partition("/")[2] if "://" in path else path
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    return Asked(method, path, query, headers, body)


def _piece(boundary: str, content_id: str, answer: Answer) -> bytes:
    named = f"<response-{content_id.strip('<>')}>"
    head = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        *(f"{n}: {v}" for n, v in answer.headers.items()),
    ]
    lines = [
        f"--{boundary}",
        "Content-Type: application/http",
        f"Content-ID: {named}",
        "",
        *head,
        f"Content-Length: {len(answer.body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + answer.body + b"\r\n"
