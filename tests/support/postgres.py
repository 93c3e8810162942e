"""A temporary PostgreSQL cluster for the tests: found on this machine, run by an unprivileged user, reachable by unix socket only."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

# Nothing of it is kept. Without vacuum rows also stay in the order in which they came, whatever earlier tests deleted.
_HURRY = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum=off"
MISSING = "PostgreSQL was not tested: set TEST_POSTGRES_URL, or install its server programs (Debian: postgresql)."


def find_programs() -> Path | None:
    """The folder with initdb and postgres, newest version first."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
    folders += [f for f in ("/opt/homebrew/opt/postgresql/bin", "/usr/local/opt/postgresql/bin") if os.path.isdir(f)]
    found = shutil.which("initdb")
    if found:
        folders.append(str(Path(found).resolve().parent))
    return next((Path(f) for f in folders if os.path.exists(f"{f}/initdb") and os.path.exists(f"{f}/postgres")), None)


class Cluster:
    """`url` leads to its database `postgres`; `stop()` ends it and removes its files."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=60 {_HURRY}"
        self._run(
            "pg_ctl",
            "-D",
            str(self.folder / "data"),
            "-w",
            "-l",
            str(self.folder / "log"),
            "-o",
            options,
            "start",
        )
        self.url = self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql+psycopg://tester@/{name}?host={self.folder}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True, user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: its own user, or nobody, does it then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _version(folder: str) -> float:
    return float(Path(folder).parent.name)
