"""`lockstep serve --demo`: a made-up studio in a data folder of its own, with a calendar server, ready to be tried.

Nothing of the real instance is touched: settings from the environment are put aside, so the demo neither opens the real database nor sends mail.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portal.clock import now_utc
from portal.config import NAMES, SECRETS
from portal.demo.calendar_server import CalendarServer, fill
from portal.demo.google import PERSON, PORT, GoogleStandIn, forget_connections
from portal.process.serve import Options, serve
from portal.process.tree import ProcessTree
from portal.process.web_server import CannotStart
from providers.kinds import GOOGLE

if TYPE_CHECKING:
    from flask import Flask

CALENDAR_PORT = 5232
OWNER = "ana@studio.example"
POLL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once, kept in the demo's folder, shown at every start."""

    calendar_port: int
    owner_password: str
    calendar_passwords: dict[str, str]


def serve_demo(options: Options, *, with_google: bool = False) -> None:
    """Run the demo until a signal comes; `with_google` adds the stand-in for Google. Raises CannotStart."""
    folder = Path(os.environ.get("LOCKSTEP_DATA") or "var").expanduser().resolve() / "demo"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = _secrets(folder / "demo.json")
    _set_environment(folder, kept)
    google = GoogleStandIn(folder / GOOGLE.name, port=_free_port(PORT)) if with_google else None
    if google:
        os.environ |= google.settings()
        os.environ["OUTBOUND_ALLOW"] += f",127.0.0.1:{google.port}"
    if _free_port(kept.calendar_port) != kept.calendar_port:
        raise CannotStart(
            f"Port {kept.calendar_port}, on which this demo's calendars lie, is taken: perhaps another demo runs. Stop it, or give this one a "
            "folder of its own: set LOCKSTEP_DATA to another folder."
        )
    serve(options, companion=Demo(folder, kept, google))


class Demo:
    """What the demo adds to `lockstep serve`; see `portal.process.serve.Companion`."""

    def __init__(self, folder: Path, kept: Secrets, google: GoogleStandIn | None) -> None:
        self._kept = kept
        self._google = google
        self._server = CalendarServer(folder / "calendars", port=kept.calendar_port, passwords=kept.calendar_passwords)

    def start(self, tree: ProcessTree) -> None:
        """Fill the calendars and start their server."""
        self._tree = tree
        if self._google:
            tree.start(self._google)
        fill(self._server.folder, today=now_utc().date())
        tree.start(self._server)

    def prepare(self, app: Flask) -> None:
        """The studio's services and people, its connected calendars, its owner."""
        from portal.seed.load import load

        names = ("studio.toml", "video.toml") if self._google else ("studio.toml",)
        text = "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
        text = text.replace(f"127.0.0.1:{CALENDAR_PORT}", f"127.0.0.1:{self._kept.calendar_port}")
        with app.app_context():
            self._server.wait_ready()
            forget_connections()
            load(text, name="studio.toml", environ=os.environ)
            _create_owner(self._kept.owner_password)

    def announce(self, app: Flask) -> None:
        url = app.extensions["settings"].url
        if self._google:
            self._google.wait_ready()
        words = self._kept.calendar_passwords
        click.echo(
            f"\nStudio Ana is open.\n\n"
            f"  Book a time       {url}/\n"
            f"  Staff             {url}/admin   {OWNER}  {self._kept.owner_password}\n"
            f"  Ana's calendar    {self._server.url}ana/calendar/   ana  {words['ana']}\n"
            f"  Ben's calendar    {self._server.url}ben/calendar/   ben  {words['ben']}\n"
            f"{self._google_lines()}\n"
            "Try this: add Ana's calendar to your calendar app, book a consultation with her, and move the event there: the booking follows.\n"
            f"Or kill the worker while you book, with `kill -9 {self._tree.pid_of('worker')}`: it is started again, and the event is written once.\n"
            f"{self._google_advice(url)}"
            "Ctrl-C stops everything.\n"
        )

    def _google_lines(self) -> str:
        return f"  Clara's “Google”  {self._google.url}/calendar?account={PERSON}\n" if self._google else ""

    def _google_advice(self, url: str) -> str:
        if not self._google:
            return ""
        return (
            f"And this: open {url}/admin/integrations, “Connect Google” for Clara as {PERSON}, and book a video\n"
            "consultation with her: event and link are there within seconds. Move it in “Google”; take the permission away there, and refresh it.\n"
        )


def _secrets(path: Path) -> Secrets:
    if not path.exists():
        made = {
            "calendar_port": _free_port(CALENDAR_PORT),
            "owner_password": secrets.token_urlsafe(12),
            "calendar_passwords": {"ana": secrets.token_urlsafe(9), "ben": secrets.token_urlsafe(9)},
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(made, file)
    return Secrets(**json.loads(path.read_text(encoding="utf-8")))


def _set_environment(folder: Path, kept: Secrets) -> None:
    for name in NAMES:
        os.environ[name] = ""  # empty, not absent: an absent one would be read from .env
        if name in SECRETS:
            os.environ[f"{name}_FILE"] = ""
    os.environ |= {
        "LOCKSTEP_DATA": str(folder),
        "LOCKSTEP_DEMO": "1",
        "LOCKSTEP_POLL_SECONDS": str(POLL_SECONDS),
        "OUTBOUND_ALLOW": f"127.0.0.1:{kept.calendar_port}",
        "DEMO_CALENDARS_ANA": kept.calendar_passwords["ana"],
        "DEMO_CALENDARS_BEN": kept.calendar_passwords["ben"],
    }


def _create_owner(password: str) -> None:
    from portal.accounts import operations
    from portal.accounts.forms import Setup

    if not operations.first_owner_exists():
        token = operations.create_setup_link(OWNER)
        operations.accept_setup(token, Setup(name="Ana", email=OWNER, password=password), now=now_utc())


def _free_port(wanted: int) -> int:
    """`wanted`, or another one when a program listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("There is no free port on 127.0.0.1.")
