"""All settings, read from the environment (and a `.env` file) into one frozen value. A comment per field says what it is for.

Each secret may also come from a file named by `NAME_FILE`. The table in docs/settings.md is tested against this class.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from portal.errors import Invalid

SECRETS = frozenset(
    {
        "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "SMTP_URL", "GOOGLE_CLIENT_SECRET",
        "MICROSOFT_CLIENT_SECRET", "WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "METRICS_TOKEN",
    }
)  # fmt: skip


MAKE_ONE = "Make one with `openssl rand -base64 32`, or leave the setting out: then Lockstep makes one and keeps it in the data folder."
GUESSABLE = (
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "your-secret",
    "your_secret",
    "yoursecret",
    "insecure",
    "password",
)
LEAST_LENGTH = 32
LEAST_LETTERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    # Where everything that must survive stands: SQLite file, keys, mail until SMTP is set, the queue's file.
    data: Path = Path("var")
    # SQLAlchemy address; SQLite under `data` unless set. PostgreSQL: postgresql+psycopg://user:password@host/name
    database_url: str = ""
    # Redis or Valkey for RQ; an embedded server on a unix socket unless set.
    redis_url: str = ""
    # Public base address of this portal; links in mails and the redirect addresses of OAuth start with it.
    url: str = "http://127.0.0.1:8000"
    # Signs sessions and forms. Made and kept under `data` when not set.
    secret_key: str = field(default="", repr=False)
    # Comma-separated keys (32 bytes, base64) that encrypt stored credentials; the first one writes, all read.
    # Made and kept under `data` when not set.
    encryption_keys: str = field(default="", repr=False)
    # smtp://user:password@host:587 or smtps://...; until set, mails are written as .eml files under `data`/mail.
    smtp_url: str = field(default="", repr=False)
    # The address that all mails come from; the name in them is the business's.
    mail_from: str = "Lockstep <lockstep@localhost>"
    google_client_id: str = ""  # OAuth client of the Google project
    google_client_secret: str = field(default="", repr=False)  # and its secret
    google_api_url: str = "https://www.googleapis.com"  # root of the Calendar API
    google_auth_url: str = "https://accounts.google.com/o/oauth2/v2/auth"  # where consent is asked
    google_token_url: str = "https://oauth2.googleapis.com/token"  # where codes become tokens
    google_revoke_url: str = "https://oauth2.googleapis.com/revoke"  # where tokens are given back
    microsoft_client_id: str = ""  # OAuth client of the Entra application
    microsoft_client_secret: str = field(default="", repr=False)  # and its secret
    microsoft_graph_url: str = "https://graph.microsoft.com"  # root of Graph
    microsoft_login_url: str = "https://login.microsoftonline.com"  # root of the login service
    whatsapp_token: str = field(default="", repr=False)  # access token of the WhatsApp Cloud API
    whatsapp_app_secret: str = field(default="", repr=False)  # verifies inbound signatures
    whatsapp_verify_token: str = field(default="", repr=False)  # answers the set-up challenge
    whatsapp_phone_number_id: str = ""  # the number that sends
    whatsapp_api_url: str = "https://graph.facebook.com"  # root of the Cloud API
    # Hosts on private networks that may be reached (a CalDAV server on the LAN): host, host:port or CIDR, comma-separated.
    outbound_allow: tuple[str, ...] = ()
    # How many reverse proxies stand in front and set X-Forwarded-For, -Proto and -Host.
    trusted_proxies: int = 0
    # Who asks for /metrics must send it (Authorization: Bearer ...); without it only this machine may ask.
    metrics_token: str = field(default="", repr=False)
    # Seconds between two looks at a calendar that has no push.
    poll_seconds: int = 30
    # True only under `lockstep serve --demo` and in tests: shows the demo's hints, allows http on loopback.
    demo: bool = False

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https://")


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's, after reading `.env`). Raises Invalid with the name of the wrong one."""
    if environ is None:
        from dotenv import load_dotenv

        load_dotenv(Path.cwd() / ".env")
        environ = os.environ
    data = Path(environ.get("LOCKSTEP_DATA") or "var").expanduser().resolve()
    values = {name: _value(environ, name) for name in NAMES}
    url = (values["LOCKSTEP_URL"] or "http://127.0.0.1:8000").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise Invalid("LOCKSTEP_URL must start with http:// or https://.")
    texts = {_field(name): value for name, value in values.items() if value and name not in {"LOCKSTEP_URL", *_PARSED}}
    texts.setdefault("database_url", f"sqlite:///{data / 'lockstep.sqlite3'}")
    settings = Settings(
        data=data,
        url=url,
        outbound_allow=tuple(part.strip() for part in values["OUTBOUND_ALLOW"].split(",") if part.strip()),
        trusted_proxies=_number(values, "TRUSTED_PROXIES", default=0),
        poll_seconds=_number(values, "LOCKSTEP_POLL_SECONDS", default=30),
        demo=values["LOCKSTEP_DEMO"] == "1",
        **texts,
    )
    refuse_unsafe(settings)
    return settings


def refuse_unsafe(settings: Settings) -> None:
    """Raises Invalid for keys that can be guessed, and for a Redis on another machine that asks nobody who they are."""
    if settings.secret_key and _is_guessable(settings.secret_key):
        raise Invalid(
            f"SECRET_KEY can be guessed: it must be random, and have {LEAST_LENGTH} characters or more. "
            f"Whoever guesses it signs in as anybody. {MAKE_ONE}"
        )
    if any(len(set(key)) < LEAST_LETTERS for key in _raw_keys(settings.encryption_keys)):
        raise Invalid(f"ENCRYPTION_KEYS holds a key that can be guessed. {MAKE_ONE}")
    if settings.metrics_token and len(settings.metrics_token) < 16:
        raise Invalid("METRICS_TOKEN is too short: it must have 16 characters or more.")
    if _is_open_redis(settings.redis_url):
        raise Invalid(
            "REDIS_URL leads to another machine without a password: whoever reaches it makes the worker run what they like. Set a password "
            "there (requirepass), and give it here: redis://:password@host:6379/0."
        )


_PARSED = ("OUTBOUND_ALLOW", "TRUSTED_PROXIES", "LOCKSTEP_POLL_SECONDS", "LOCKSTEP_DEMO")
NAMES = (
    "DATABASE_URL", "REDIS_URL", "LOCKSTEP_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "SMTP_URL", "MAIL_FROM",
    "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_API_URL", "GOOGLE_AUTH_URL", "GOOGLE_TOKEN_URL",
    "GOOGLE_REVOKE_URL", "MICROSOFT_CLIENT_ID", "MICROSOFT_CLIENT_SECRET", "MICROSOFT_GRAPH_URL",
    "MICROSOFT_LOGIN_URL", "WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN",
    "WHATSAPP_PHONE_NUMBER_ID", "WHATSAPP_API_URL", "METRICS_TOKEN", *_PARSED,
)  # fmt: skip


def _field(name: str) -> str:
    return name.lower()


def _value(environ: Mapping[str, str], name: str) -> str:
    """The variable, or the content of the file that `NAME_FILE` points to."""
    if environ.get(name):
        return environ[name].strip()
    path = environ.get(f"{name}_FILE") if name in SECRETS else None
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Invalid(f"{name}_FILE points to {path}, which cannot be read: {error.strerror}.") from None


def _number(values: Mapping[str, str], name: str, *, default: int) -> int:
    text = values[name]
    if not text:
        return default
    if not text.isdigit():
        raise Invalid(f"{name} must be a whole number, not “{text}”.")
    return int(text)


def _is_guessable(key: str) -> bool:
    plain = key.lower()
    return len(key) < LEAST_LENGTH or len(set(key)) < LEAST_LETTERS or any(word in plain for word in GUESSABLE)


def _raw_keys(text: str) -> Iterator[bytes]:
    """What is no base64 is refused where the keys are loaded."""
    for part in filter(None, text.split(",")):
        try:
            yield base64.b64decode(part, altchars=b"-_", validate=True)
        except ValueError:
            return


def _is_open_redis(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or is_local(parts.hostname or "localhost"):
        return False
    query = parse_qs(parts.query)
    return not (parts.password or query.get("password") or query.get("ssl_certfile"))


def is_local(host: str) -> bool:
    """Whether this host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
