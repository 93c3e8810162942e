"""The sign-in at Google, against a token endpoint that answers whatever a test wants: forged proofs, refusals, nonsense."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from portal.outbound.session import guarded_session
from providers.calendars.google import oauth
from providers.calendars.google.oauth import CALENDARS, EVENTS
from providers.errors import AccessRevoked, BadAnswer, Misconfigured, Temporary, Throttled
from providers.kind import OAuthClient

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLIENT_ID = "portal.apps.googleusercontent.example"
NONCE, VERIFIER = "nonce-of-this-consent", "v" * 64
SECRETS = ("client-secret-MARKER", "access-MARKER", "refresh-MARKER", "code-MARKER")


class Endpoint:
    """Answers every POST with `status`, `body` and `headers`; `asked` are the forms that came."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"", {}
        self.asked: list[dict[str, str]] = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.asked.append({name: values[0] for name, values in parse_qs(sent).items()})
                self.send_response(endpoint.status)
                for name, value in {"Content-Type": "application/json", **endpoint.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(endpoint.body)))
                self.end_headers()
                self.wfile.write(endpoint.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answers(self, body: object, *, status: int = 200, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.headers = status, headers

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint():
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture
def client(endpoint):
    return OAuthClient(
        client_id=CLIENT_ID,
        client_secret="client-secret-MARKER",
        redirect_url="https://book.example/admin/integrations/google/callback",
        auth_url=f"{endpoint.url}/auth",
        token_url=f"{endpoint.url}/token",
        revoke_url=f"{endpoint.url}/revoke",
    )


@pytest.fixture
def session():
    with guarded_session(allow=("127.0.0.1",)) as one:
        yield one


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def id_token(header: dict | None = None, *, signature: bytes = b"signature", **changes: object) -> str:
    """A proof as Google makes it; None takes a claim out."""
    claims = {
        "iss": "https://accounts.google.com",
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "sub": "110248495921238986420",
        "email": "ana@gmail.example",
        "email_verified": True,
        "nonce": NONCE,
        "at_hash": encoded(hashlib.sha256(b"access-MARKER").digest()[:16]),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
        **changes,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return f"{encoded(header or {'alg': 'RS256', 'typ': 'JWT', 'kid': '1'})}.{encoded(given)}.{encoded(signature)}"


def token_answer(**changes: object) -> dict[str, object]:
    answer = {
        "access_token": "access-MARKER",
        "refresh_token": "refresh-MARKER",
        "expires_in": 3599,
        "scope": f"{EVENTS} openid {CALENDARS} https://www.googleapis.com/auth/userinfo.email",
        "token_type": "Bearer",
        "id_token": id_token(),
        **changes,
    }
    return {name: value for name, value in answer.items() if value is not None}


def exchange(client, session):
    return oauth.exchange(client, session, code="code-MARKER", verifier=VERIFIER, nonce=NONCE, now=NOW)


def refresh(client, session):
    return oauth.refresh(client, session, refresh_token="refresh-MARKER", now=NOW)


def test_the_way_to_the_consent_page_asks_for_the_least_and_hides_the_verifier(client):
    url = oauth.consent_url(client, state="the-state", verifier=VERIFIER, nonce=NONCE, login_hint="ana@gmail.example")
    given = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert given == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "https://book.example/admin/integrations/google/callback",
        "scope": f"openid email {EVENTS} {CALENDARS}",
        "state": "the-state",
        "nonce": NONCE,
        "code_challenge": encoded(hashlib.sha256(VERIFIER.encode()).digest()),
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
        "include_granted_scopes": "true",
        "login_hint": "ana@gmail.example",
    }
    assert "login_hint" not in oauth.consent_url(client, state="s", verifier=VERIFIER, nonce=NONCE)


def test_a_code_becomes_a_grant(endpoint, client, session):
    endpoint.answers(token_answer())
    grant = exchange(client, session)
    assert (grant.subject, grant.email) == ("110248495921238986420", "ana@gmail.example")
    assert (grant.access_token, grant.refresh_token) == ("access-MARKER", "refresh-MARKER")
    assert grant.expires_at == NOW + timedelta(seconds=3599)
    assert oauth.missing_scopes(grant.scopes) == ()
    assert endpoint.asked == [
        {
            "grant_type": "authorization_code",
            "code": "code-MARKER",
            "code_verifier": VERIFIER,
            "redirect_uri": client.redirect_url,
            "client_id": CLIENT_ID,
            "client_secret": "client-secret-MARKER",
        }
    ]


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(id_token({"alg": "none"}, signature=b""), id="alg none, no signature"),
        pytest.param(id_token({"alg": "none"}), id="alg none"),
        pytest.param(id_token({"alg": "HS256"}), id="signed with a shared secret"),
        pytest.param(id_token({"typ": "JWT"}), id="no alg"),
        pytest.param(id_token(signature=b""), id="no signature"),
        pytest.param(id_token({"alg": "RS256", "jwk": {"kty": "RSA", "n": "x", "e": "AQAB"}}), id="a key of its own"),
        pytest.param(id_token({"alg": "RS256", "jku": "https://evil.example/keys"}), id="a key from elsewhere"),
        pytest.param(id_token({"alg": "RS256", "crit": ["b64"], "b64": False}), id="unknown crit"),
        pytest.param(id_token(aud="another.apps.example"), id="for another client"),
        pytest.param(id_token(aud=None), id="for nobody"),
        pytest.param(id_token(aud=[CLIENT_ID, "another"], azp="another"), id="asked for by another"),
        pytest.param(id_token(aud=[CLIENT_ID, "another"], azp=None), id="for two, asked for by nobody"),
        pytest.param(id_token(azp="another"), id="another authorized party"),
        pytest.param(id_token(iss="https://accounts.google.com.evil.example"), id="another issuer"),
        pytest.param(id_token(iss=None), id="no issuer"),
        pytest.param(id_token(nonce="another"), id="another nonce"),
        pytest.param(id_token(nonce=None), id="no nonce"),
        pytest.param(id_token(exp=int(NOW.timestamp()) - 600), id="over"),
        pytest.param(id_token(exp=None), id="never over"),
        pytest.param(id_token(exp="tomorrow"), id="over on no date"),
        pytest.param(id_token(iat=int(NOW.timestamp()) + 600), id="from the future"),
        pytest.param(id_token(at_hash=encoded(b"0" * 16)), id="of another access token"),
        pytest.param(id_token(sub=None), id="nobody"),
        pytest.param(id_token(sub=""), id="nobody, in as many words"),
        pytest.param(id_token(sub=7), id="a number"),
        pytest.param(id_token(email=None), id="no address"),
        pytest.param(id_token(email="ana"), id="no real address"),
        pytest.param(id_token(email="ana@gmail.example\n"), id="an address with a line end"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c.d.e", id="five parts"),
        pytest.param("..", id="nothing in it"),
        pytest.param(f"{encoded(['RS256'])}.{encoded({})}.{encoded(b'x')}", id="a list for a header"),
        pytest.param("é.é.é", id="other letters"),
        pytest.param(f"{encoded(b'[' * 100_000)}.e30.eA", id="deeply nested"),
        pytest.param(["x"], id="a list"),
        pytest.param(None, id="none at all"),
    ],
)
def test_a_forged_proof_of_who_signed_in_is_refused(endpoint, client, session, forged):
    endpoint.answers(token_answer(id_token=forged))
    with pytest.raises(BadAnswer) as refused:
        exchange(client, session)
    assert "gmail" not in str(refused.value)


@pytest.mark.parametrize(
    "good",
    [
        id_token(iss="accounts.google.com"),
        id_token(aud=[CLIENT_ID]),
        id_token(at_hash=None, azp=None),
        id_token(exp=int(NOW.timestamp()) - 60, iat=int(NOW.timestamp()) + 60),
    ],
    ids=["other name", "a list of one", "without extras", "clocks that differ a little"],
)
def test_what_google_may_vary_is_accepted(endpoint, client, session, good):
    endpoint.answers(token_answer(id_token=good))
    assert exchange(client, session).email == "ana@gmail.example"


def test_an_unticked_permission_is_seen(endpoint, client, session):
    endpoint.answers(token_answer(scope=f"openid {CALENDARS}"))
    assert oauth.missing_scopes(exchange(client, session).scopes) == (EVENTS,)
    assert oauth.missing_scopes(["openid"]) == (EVENTS, CALENDARS)
    assert oauth.missing_scopes(["https://www.googleapis.com/auth/calendar"]) == ()
    assert oauth.missing_scopes(["https://www.googleapis.com/auth/calendar.events.readonly", CALENDARS]) == (EVENTS,)


@pytest.mark.parametrize("rotated", [None, "another-refresh-token"])
def test_a_refresh_token_brings_another_access_token_and_sometimes_its_own_successor(
    endpoint, client, session, rotated
):
    endpoint.answers(token_answer(access_token="next", refresh_token=rotated, id_token=None))
    found = refresh(client, session)
    assert (found.access_token, found.refresh_token) == ("next", rotated or "refresh-MARKER")
    assert endpoint.asked[0]["grant_type"] == "refresh_token"
    assert endpoint.asked[0]["refresh_token"] == "refresh-MARKER"
    assert "scope" not in endpoint.asked[0]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, "invalid_grant", AccessRevoked),
        (400, "admin_policy_enforced", AccessRevoked),
        (401, "invalid_client", Misconfigured),
        (401, "unauthorized_client", Misconfigured),
        (401, "deleted_client", Misconfigured),
        (400, "redirect_uri_mismatch", Misconfigured),
        (400, "invalid_request", Misconfigured),
        (403, "org_internal", Misconfigured),
        (400, "something_new", BadAnswer),
        (429, "rate_limit_exceeded", Throttled),
        (500, "server_error", Temporary),
        (503, "", Temporary),
        (400, "internal_failure", Temporary),
    ],
)
@pytest.mark.parametrize("ask", [exchange, refresh])
def test_each_refusal_has_its_meaning_and_tells_nothing_secret(endpoint, client, session, ask, status, error, expected):
    described = 'Tökens "refresh-MARKER" of client-secret-MARKER\nBad Request'
    endpoint.answers({"error": error, "error_description": described}, status=status, **{"Retry-After": "7"})
    with pytest.raises(expected) as refused:
        ask(client, session)
    assert type(refused.value) is expected
    assert not [secret for secret in SECRETS if secret in repr(refused.value)]
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    if isinstance(refused.value, Temporary):
        assert refused.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>Sign in to the hotel's network</html>", BadAnswer),
        (200, b'{"access_token": "acc', BadAnswer),
        (200, b"[]", BadAnswer),
        (200, b"", BadAnswer),
        (200, {"error": "invalid_grant"}, BadAnswer),
        (200, token_answer(access_token=None), BadAnswer),
        (200, token_answer(access_token=""), BadAnswer),
        (200, token_answer(access_token={"a": 1}), BadAnswer),
        (200, token_answer(access_token="zugriff-ä"), BadAnswer),
        (200, token_answer(expires_in=None), BadAnswer),
        (200, token_answer(expires_in="soon"), BadAnswer),
        (200, token_answer(expires_in=0), BadAnswer),
        (200, token_answer(expires_in=10**12), BadAnswer),
        (302, b"", BadAnswer),
        (404, b"<html>", BadAnswer),
        (400, {"error": {"code": 400, "message": "refresh-MARKER"}}, BadAnswer),
        (429, b"<html>", Throttled),
        (502, b"<html>", Temporary),
    ],
)
@pytest.mark.parametrize("ask", [exchange, refresh])
def test_nonsense_is_a_bad_answer_and_never_a_crash(endpoint, client, session, ask, status, body, expected):
    endpoint.answers(body, status=status)
    with pytest.raises(expected):
        ask(client, session)


def test_a_consent_without_a_lasting_permission_is_refused(endpoint, client, session):
    endpoint.answers(token_answer(refresh_token=None))
    with pytest.raises(BadAnswer, match="no lasting permission"):
        exchange(client, session)


def test_an_organisation_that_wants_its_people_to_sign_in_again_is_named(endpoint, client, session):
    endpoint.answers({"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)"}, status=400)
    with pytest.raises(AccessRevoked, match="administrator"):
        refresh(client, session)


@pytest.mark.parametrize("ask", [exchange, refresh])
def test_a_sign_in_that_cannot_be_reached_is_passing_trouble(endpoint, client, session, ask):
    endpoint.close()
    with pytest.raises(Temporary):
        ask(client, session)


def test_an_address_that_may_not_be_reached_is_the_operators_to_mend(client):
    with guarded_session(allow=()) as session, pytest.raises(Misconfigured):
        refresh(client, session)


@pytest.mark.parametrize(("status", "expected"), [(200, None), (400, None), (503, Temporary), (429, Throttled)])
def test_giving_a_grant_back(endpoint, client, session, status, expected):
    """One that has ended already (400) is as good as given back."""
    endpoint.answers({"error": "invalid_token"}, status=status)
    if expected:
        with pytest.raises(expected):
            oauth.revoke(client, session, token="refresh-MARKER")
    else:
        oauth.revoke(client, session, token="refresh-MARKER")
    assert endpoint.asked[0]["token"] == "refresh-MARKER"
    assert "client_secret" not in endpoint.asked[0]


def test_no_secret_shows_in_what_a_log_would_print(endpoint, client, session):
    endpoint.answers(token_answer())
    printed = f"{client!r} {exchange(client, session)!r} {refresh(client, session)!r}"
    assert not [secret for secret in SECRETS if secret in printed]
