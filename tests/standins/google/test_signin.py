"""Google's sign-in: consent, codes, tokens, and how they end."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.standins.google.conftest import CALENDAR
from tests.support.google_server import DEFAULT_SCOPES

REDIRECT = "http://127.0.0.1:8000/callback"
VERIFIER = "v" * 60
EVENTS = f"{CALENDAR}.events"
CALENDARS = f"{CALENDAR}.calendarlist.readonly"


def session(google, **options):
    method = options.pop("token_endpoint_auth_method", "client_secret_post")
    scope = options.pop("scope", " ".join(DEFAULT_SCOPES))
    return OAuth2Session(
        google.client_id, google.client_secret, scope=scope, redirect_uri=REDIRECT, code_challenge_method="S256",
        token_endpoint_auth_method=method, **options,
    )  # fmt: skip


def auth_url(google, **options):
    options = {"access_type": "offline", "prompt": "consent", "code_verifier": VERIFIER, **options}
    scope = options.pop("scope", " ".join(DEFAULT_SCOPES))
    url, _ = session(google, scope=scope).create_authorization_url(f"{google.url}/o/oauth2/v2/auth", **options)
    return url


def fetch(google, location, **options):
    options = {"code_verifier": VERIFIER, **options}
    method = options.pop("token_endpoint_auth_method", "client_secret_post")
    with session(google, token_endpoint_auth_method=method, state=told(location)["state"]) as client:
        return client.fetch_token(f"{google.url}/token", authorization_response=location, **options)


def told(location):
    """The parameters of the address where the browser is sent."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def refresh(google, token, **changes):
    form = {
        "grant_type": "refresh_token", "refresh_token": token, "client_id": google.client_id,
        "client_secret": google.client_secret, **changes,
    }  # fmt: skip
    return requests.post(f"{google.url}/token", data=form, timeout=20)


def works(google, token):
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{google.url}/calendar/v3/users/me/calendarList", headers=headers, timeout=20).status_code


def test_consent_gives_tokens_that_open_the_account(google, ana):
    token = fetch(google, ana.consent(auth_url(google)))

    assert token["token_type"] == "Bearer"
    assert 3500 < token["expires_in"] <= 3600
    assert set(token["scope"].split()) == {
        "openid",
        "https://www.googleapis.com/auth/userinfo.email",
        EVENTS,
        CALENDARS,
    }
    assert works(google, token["access_token"]) == 200


def test_the_state_comes_back(google, ana):
    assert told(ana.consent(auth_url(google, state="s p+ä")))["state"] == "s p+ä"


def test_both_ways_of_sending_the_client_secret_are_taken(google, ana):
    for method in ("client_secret_basic", "client_secret_post"):
        assert fetch(google, ana.consent(auth_url(google)), token_endpoint_auth_method=method)["access_token"]


def test_a_wrong_secret_is_refused(google, ana):
    answer = refresh(google, ana.grant()["refresh_token"], client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_id_token_is_signed_and_names_the_account(google, ana):
    token = fetch(google, ana.consent(auth_url(google, nonce="n0nce")))

    keys = KeySet.import_key_set(requests.get(f"{google.url}/oauth2/v3/certs", timeout=20).json())
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == "https://accounts.google.com"
    assert claims["aud"] == google.client_id
    assert (claims["email"], claims["email_verified"], claims["nonce"]) == (ana.email, True, "n0nce")
    assert claims["sub"].isdigit()
    assert claims["exp"] - claims["iat"] == 3600


def test_the_subject_of_an_account_stays_the_same(google, ana):
    def subject():
        packed = ana.grant()["id_token"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(packed + "=="))["sub"]

    assert subject() == subject()


def test_a_code_is_good_once_and_a_second_use_ends_what_the_first_gave(google, ana):
    location = ana.consent(auth_url(google))
    token = fetch(google, location)

    with pytest.raises(OAuthError, match="invalid_grant"):
        fetch(google, location)
    assert works(google, token["access_token"]) == 401


@pytest.mark.parametrize("verifier", ["w" * 60, ""])
def test_a_code_needs_the_verifier_behind_its_challenge(google, ana, verifier):
    with pytest.raises(OAuthError, match="invalid_grant"):
        fetch(google, ana.consent(auth_url(google)), code_verifier=verifier)


def test_a_code_needs_the_very_redirect_address_it_was_made_for(google, ana):
    form = {
        "grant_type": "authorization_code", "code": told(ana.consent(auth_url(google)))["code"], "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT + "/", "client_id": google.client_id, "client_secret": google.client_secret,
    }  # fmt: skip
    answer = requests.post(f"{google.url}/token", data=form, timeout=20)
    assert (answer.status_code, answer.json()["error"]) == (400, "redirect_uri_mismatch")


def test_an_address_that_was_not_entered_is_shown_as_a_mistake_and_never_redirected_to(google, ana):
    google.redirect_addresses("https://portal.example/callback")
    try:
        with pytest.raises(ValueError, match="redirect_uri_mismatch"):
            ana.consent(auth_url(google))
    finally:
        google.redirect_addresses()


def test_an_unknown_client_is_shown_as_a_mistake(google, ana):
    with pytest.raises(ValueError, match="invalid_client"):
        ana.consent(auth_url(google).replace(google.client_id, "nobody"))


def test_an_unknown_scope_is_refused(google, ana):
    assert told(ana.consent(auth_url(google, scope="openid https://example.org/x")))["error"] == "invalid_scope"


def test_the_person_may_deny(google, ana):
    location = ana.consent(auth_url(google, state="s"), deny=True)
    assert told(location) == {"error": "access_denied", "state": "s"}


def test_boxes_left_empty_are_not_granted(google, ana):
    token = fetch(google, ana.consent(auth_url(google), untick=["calendar.events"]))

    assert EVENTS not in token["scope"]
    assert CALENDARS in token["scope"]
    assert "refresh_token" in token


def test_the_page_has_a_box_for_each_calendar_scope_and_none_for_who_somebody_is(google, ana):
    page = requests.get(auth_url(google), timeout=20).text
    assert page.count('type="checkbox"') == 2
    assert f'value="{EVENTS}"' in page
    assert "<script" not in page


def test_earlier_consent_counts_where_it_is_asked_for(google, ana):
    fetch(google, ana.consent(auth_url(google, scope=f"openid {EVENTS}")))

    alone = fetch(google, ana.consent(auth_url(google, scope=f"openid {CALENDARS}")))
    together = fetch(google, ana.consent(auth_url(google, scope=f"openid {CALENDARS}", include_granted_scopes="true")))
    assert EVENTS not in alone["scope"]
    assert EVENTS in together["scope"]


def test_a_refresh_token_comes_for_offline_access_only(google, ana):
    assert "refresh_token" not in fetch(google, ana.consent(auth_url(google, access_type="online")))


def test_a_refresh_token_comes_at_the_first_consent_and_then_only_when_consent_is_asked_anew(google, ana):
    assert "refresh_token" in fetch(google, ana.consent(auth_url(google, prompt="")))
    assert "refresh_token" not in fetch(google, ana.consent(auth_url(google, prompt="")))
    assert "refresh_token" in fetch(google, ana.consent(auth_url(google, prompt="consent")))


def test_without_a_question_only_what_was_granted_before_is_given(google, ana):
    asked = auth_url(google, prompt="none", login_hint=ana.email)
    assert told(ana.consent(asked))["error"] == "interaction_required"
    ana.grant()
    assert works(google, fetch(google, ana.consent(asked))["access_token"]) == 200


def test_access_tokens_end_and_a_refresh_gives_another(google, ana):
    google.access_token_life(0)
    granted = ana.grant()
    assert works(google, granted["access_token"]) == 401

    google.access_token_life(3599)
    told = refresh(google, granted["refresh_token"]).json()
    assert works(google, told["access_token"]) == 200
    assert "refresh_token" not in told

    ana.expire_access_tokens()
    assert works(google, told["access_token"]) == 401


def test_a_rotated_refresh_token_ends_the_old_one_with_its_first_use(google, ana):
    google.rotate_refresh_tokens(True)
    old = ana.grant()["refresh_token"]

    new = refresh(google, old).json()["refresh_token"]
    assert new != old
    assert refresh(google, old).status_code == 200, "the answer may have been lost: the old one still counts"
    assert refresh(google, new).status_code == 200
    assert refresh(google, old).json()["error"] == "invalid_grant"


def test_a_grant_of_a_project_in_testing_ends_after_seven_days(google, ana):
    granted = ana.grant()
    ana.age_grant(6.9)
    assert refresh(google, granted["refresh_token"]).status_code == 200

    ana.age_grant(0.2)
    answer = refresh(google, granted["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert works(google, granted["access_token"]) == 401


def test_a_grant_of_a_published_project_lasts_but_not_half_a_year_unused(google, ana):
    google.testing_mode(False)
    token = ana.grant()["refresh_token"]
    ana.age_grant(170)
    assert refresh(google, token).status_code == 200
    ana.age_grant(181)
    assert refresh(google, token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_one_token_ends_the_whole_grant(google, ana, kind):
    first, second = ana.grant(), ana.grant()

    assert requests.post(f"{google.url}/revoke", data={"token": first[kind]}, timeout=20).status_code == 200
    assert works(google, second["access_token"]) == 401
    assert refresh(google, second["refresh_token"]).json()["error"] == "invalid_grant"
    again = requests.post(f"{google.url}/revoke?{urlencode({'token': first[kind]})}", timeout=20)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


def test_a_person_takes_access_back_in_her_account(google, ana):
    granted = ana.grant()
    ana.revoke()
    assert works(google, granted["access_token"]) == 401
    assert refresh(google, granted["refresh_token"]).json()["error"] == "invalid_grant"
    assert ana.grant_state()["granted"] is False


def test_the_hundred_and_first_refresh_token_ends_the_oldest_in_silence(google, ana):
    tokens = [ana.grant()["refresh_token"] for _ in range(101)]
    assert refresh(google, tokens[0]).json()["error"] == "invalid_grant"
    assert refresh(google, tokens[1]).status_code == 200


def test_another_account_can_be_typed_in(google, ana):
    token = fetch(google, google.account("new@gmail.example").consent(auth_url(google, login_hint=ana.email)))
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    listed = requests.get(f"{google.url}/calendar/v3/users/me/calendarList", headers=headers, timeout=20).json()
    assert listed["items"][0]["id"] == "new@gmail.example"
