"""Security headers of every answer. The policy allows no inline script and no inline style; a route may widen `frame-ancestors`
only, and pages that send somebody to a provider's sign-in the addresses that a form may lead to."""

from __future__ import annotations

from flask import Flask, Response, request

from portal.extensions import current_settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


HSTS = "max-age=31536000"
"""Where LOCKSTEP_URL is https, browsers ask by http no more. Other hosts of the domain are not ours to speak for."""
OPERATIONS = ("/healthz", "/readyz", "/metrics")


def init_app(app: Flask) -> None:
    """Set the headers on every answer, errors included."""
    app.after_request(_set_headers)


def let_forms_lead_to(response: Response, origin: str) -> Response:
    """Let the forms of this page lead, by a redirect, to `origin` as well (scheme, host, port)."""
    response.headers["Content-Security-Policy"] = POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")
    return response


def _set_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer" if _is_capability_url() else "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if current_settings().is_https:
        headers.setdefault("Strict-Transport-Security", HSTS)
    if _is_capability_url():
        headers.setdefault("X-Robots-Tag", "noindex")
        headers["Cache-Control"] = "no-store"
    elif request.path.startswith("/api/") or request.path in OPERATIONS:
        headers["Cache-Control"] = "no-store"
    elif response.mimetype == "text/html":
        headers.setdefault("Cache-Control", "no-cache, private")
    return response


def _is_capability_url() -> bool:
    """Pages whose address is itself a right (manage links, holds, set-up links), customers' own page, and everything behind the sign-in."""
    path = request.path
    return path.startswith(("/b/", "/u/", "/w/", "/mine/", "/setup/", "/admin")) or path == "/mine" or "/holds/" in path
