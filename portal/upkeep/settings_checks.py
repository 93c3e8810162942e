"""Settings that are wrong without an error: what anybody could guess is refused, what weakens or misleads is told (log, doctor, home page).

Pure but for the table of mounts. `refuse_unsafe` is called while the settings are read; `warnings` by whatever starts, and by those who look.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from portal.config import NAMES, SECRETS, Settings
from portal.errors import Invalid
from portal.upkeep.private_files import sqlite_file

LEAST_LENGTH, LEAST_LETTERS = 32, 8
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
MAKE_ONE = "Make one with `openssl rand -base64 32`, or leave the setting out: then Lockstep makes one and keeps it in the data folder."
NETWORK_DISKS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "lustre",
        "ceph",
    }
)
OURS = ("LOCKSTEP_",)
ALSO_KNOWN = frozenset({"LOCKSTEP_DATA", "LOCKSTEP_FAILPOINT", "LOCKSTEP_FAILPOINT_ONCE"})
KNOWN = frozenset({*NAMES, *ALSO_KNOWN, *(f"{name}_FILE" for name in SECRETS)})
MOUNTS = Path("/proc/self/mounts")


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


def warnings(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """What an admin should know and may have wanted, in sentences with what to do."""
    return [*_address(settings), *_disk(settings), *_names(environ)]


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


def _address(settings: Settings) -> Iterator[str]:
    if settings.is_https and not settings.trusted_proxies:
        yield (
            "LOCKSTEP_URL is https, so a proxy stands in front, but TRUSTED_PROXIES is 0: all visitors look like the proxy, so that limits meant for "
            "one of them count for all. Set TRUSTED_PROXIES to the number of proxies that set X-Forwarded-For."
        )
    host = urlsplit(settings.url).hostname or ""
    if not settings.is_https and not is_local(host):
        yield (
            f"LOCKSTEP_URL is {settings.url}: without https passwords and manage links can be read on the way. Put a reverse proxy with a "
            "certificate in front, and set LOCKSTEP_URL and TRUSTED_PROXIES."
        )


def _disk(settings: Settings) -> Iterator[str]:
    path = sqlite_file(settings)
    kind = _file_system(path, _mounts()) if path else ""
    if kind in NETWORK_DISKS:
        yield (
            f"The SQLite file {path} lies on a network disk ({kind}), whose locks cannot be relied on: it may be damaged, and times be given twice. "
            "Put LOCKSTEP_DATA on a disk of this machine, or use PostgreSQL."
        )


def _mounts() -> str:
    return MOUNTS.read_text(encoding="utf-8", errors="replace") if MOUNTS.exists() else ""


def _file_system(path: Path, mounts: str) -> str:
    """The kind of the innermost mount that holds the path; empty where nobody tells."""
    found = [
        fields
        for line in mounts.splitlines()
        if len(fields := line.split()) > 2 and path.absolute().is_relative_to(fields[1])
    ]
    return max(found, key=lambda fields: len(fields[1]))[2] if found else ""


def _names(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        meant = _meant(name)
        if meant or (name.startswith(OURS) and name not in KNOWN):
            yield f"There is no setting {name}: it is ignored.{f' Did you mean {meant}?' if meant else ''}"


def _meant(name: str) -> str:
    """The setting that was probably meant; empty for a setting, and for what is like none."""
    if name in KNOWN or "_" not in name:
        return ""
    return next(iter(get_close_matches(name, _by_words(name, KNOWN), n=1, cutoff=0.85)), "")


def _by_words(name: str, known: Iterable[str]) -> list[str]:
    """Settings that share a word with it: GOOGLE_API_URI is like GOOGLE_API_URL, SMTP_HOST like none."""
    words = set(name.split("_"))
    return [other for other in sorted(known) if words & set(other.split("_"))]
