"""All settings, read from the environment (and a `.env` file) into one frozen value. A comment per field says what it is for.

Each secret may also come from a file named by `NAME_FILE`. README's table is tested against this class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portal.errors import Invalid

SECRETS = frozenset(
    {
        "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "SMTP_URL", "GOOGLE_CLIENT_SECRET",
        "MICROSOFT_CLIENT_SECRET", "WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "METRICS_TOKEN",
    }
)  # fmt: skip


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
    from portal.upkeep.settings_checks import refuse_unsafe  # it needs this module

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
