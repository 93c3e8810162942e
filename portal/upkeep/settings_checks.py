"""Settings that are wrong without an error: what anybody could guess is refused, what weakens or misleads is told (log, doctor, home page).

Pure but for the table of mounts. `refuse_unsafe` is called while the settings are read; `warnings` by whatever starts, and by those who look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from portal.config import NAMES, SECRETS, Settings, is_local
from portal.upkeep.private_files import sqlite_file

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


def warnings(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """What an admin should know and may have wanted, in sentences with what to do."""
    return [*_address(settings), *_disk(settings), *_names(environ)]


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
