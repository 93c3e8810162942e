"""The demo's own CalDAV server: Radicale on loopback, with the calendars of Ana and Ben filled before it starts.

Radicale is a development dependency: a portal in real use never runs it.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import date, timedelta
from pathlib import Path

from portal.demo.events import FORTNIGHT, fortnight
from portal.demo.local_server import LocalServer

PEOPLE = {"ana": "Ana", "ben": "Ben"}
REFILL_BEFORE = timedelta(days=3)


class CalendarServer(LocalServer):
    """Radicale for the demo folder. Passwords are random and made once; they lie readable in that folder, being shown at every start anyway."""

    def __init__(self, folder: Path, *, port: int, passwords: dict[str, str]) -> None:
        self._passwords = passwords
        command = [sys.executable, "-m", "radicale", "--config", str(folder / "config")]
        super().__init__("calendar server", command, folder=folder, port=port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_secret(self.folder / "users", "".join(f"{name}:{word}\n" for name, word in self._passwords.items()))
        (self.folder / "config").write_text(self._config(), encoding="utf-8")
        super().start()

    def _config(self) -> str:
        return (
            f"[server]\nhosts = 127.0.0.1:{self.port}\n"
            f"[auth]\ntype = htpasswd\nhtpasswd_filename = {self.folder / 'users'}\nhtpasswd_encryption = plain\ndelay = 1\n"
            f"[storage]\nfilesystem_folder = {self.folder / 'collections'}\n[logging]\nlevel = warning\n"
        )


def fill(folder: Path, *, today: date) -> bool:
    """Put a fortnight of events into both calendars, at the first start and when they run out; False when there was nothing to do.

    Written straight into Radicale's folders, one file per event, which is quick and only right while it does not run. Events that
    are there stay as people left them.
    """
    marker = folder / "filled-until"
    until = date.fromisoformat(marker.read_text(encoding="ascii")) if marker.exists() else None
    if until is not None and until - REFILL_BEFORE > today:
        return False
    first = max(today, until or today)
    for person, name in PEOPLE.items():
        collection = folder / "collections" / "collection-root" / person / "calendar"
        collection.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_properties(collection, name)
        for uid, text in fortnight(person, first):
            path = collection / f"{uid}.ics"
            if until is None or not path.exists():
                path.write_bytes(text)
    marker.write_text(str(first + FORTNIGHT), encoding="ascii")
    return True


def _write_properties(collection: Path, name: str) -> None:
    path = collection / ".Radicale.props"
    if not path.exists():
        properties = {"tag": "VCALENDAR", "D:displayname": name, "C:supported-calendar-component-set": "VEVENT"}
        path.write_text(json.dumps(properties), encoding="utf-8")


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
