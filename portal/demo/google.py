"""The demo's stand-in for Google, so that "Connect Google" can be tried with nothing but this machine: `make demo GOOGLE=1`.

It is the one that the tests run against (`providers.standins.google`), and keeps everything in memory: once stopped, its Google has forgotten all.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.calendars.models import Connection
from portal.database.engine import transaction
from portal.demo.local_server import LocalServer
from providers.kinds import GOOGLE

PORT = 5233
PERSON = "clara@gmail.example"
ROOT = Path(__file__).resolve().parents[2]
CLIENT_ID = "studio-ana.apps.googleusercontent.example"


class GoogleStandIn(LocalServer):
    """`python -m providers.standins.google` on loopback, with the calendar of `PERSON` filled."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self._secret = secrets.token_urlsafe(12)
        command = [sys.executable, "-m", GOOGLE.stand_in, "--port", str(port), "--seed", "demo"]
        command += ["--client-id", CLIENT_ID, "--client-secret", self._secret]
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        environ = {**os.environ, "PYTHONPATH": path}
        super().__init__("stand-in for Google", command, folder=folder, port=port, environ=environ)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """The portal's settings for it."""
        return {
            "GOOGLE_CLIENT_ID": CLIENT_ID,
            "GOOGLE_CLIENT_SECRET": self._secret,
            "GOOGLE_API_URL": self.url,
            "GOOGLE_AUTH_URL": f"{self.url}/o/oauth2/v2/auth",
            "GOOGLE_TOKEN_URL": f"{self.url}/token",
            "GOOGLE_REVOKE_URL": f"{self.url}/revoke",
        }


def forget_connections() -> None:
    """Drop what an earlier run connected: its Google is gone, and knows neither the permission nor the events any more."""

    def work(session: Session) -> None:
        for connection in session.scalars(select(Connection).where(Connection.provider == GOOGLE.name)):
            session.delete(connection)

    transaction(work)
