"""Cyrus IMAP's CalDAV server for tests, where Debian's packages are installed (cyrus-caldav, cyrus-imapd, sasl2-bin).

It has to be started by root and becomes the user cyrus. Kept apart from the other servers because it is set up, not just
started: accounts, a mailbox for each user, and a configuration that every one of its commands must be told again.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.providers.servers import CalDavServer, free_port

MASTER = Path("/usr/lib/cyrus/bin/master")
MISSING = "Cyrus was not tested: it needs Debian's cyrus-caldav, cyrus-imapd and sasl2-bin, and root."


def is_possible() -> bool:
    """Whether Cyrus can be started here."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam("cyrus")
        return MASTER.exists() and shutil.which("saslpasswd2") is not None and os.geteuid() == 0
    return False


class CyrusServer(CalDavServer):
    """Works in a folder of its own under the system's temporary one, for the user cyrus must be able to enter it."""

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="lockstep-cyrus-")))
        self.imap_port = free_port()

    def calendar_url(self, user: str, name: str) -> str:
        return f"{self.url}dav/calendars/user/{user}/{name}/"

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self) -> list[str]:
        self._write_configuration()
        shutil.chown(self.folder, "cyrus", "mail")
        for path in self.folder.rglob("*"):
            shutil.chown(path, "cyrus", "mail")
        configuration, services = self.folder / "imapd.conf", self.folder / "cyrus.conf"
        master = f"exec {MASTER} -C {configuration} -M {services} -p {self.folder}/master.pid -D"
        return ["setpriv", "--reuid=cyrus", "--regid=mail", "--init-groups", "sh", "-c", master]

    def _write_configuration(self) -> None:
        folder = self.folder
        folder.chmod(0o755)
        for name in ("proc", "lock", "spool", *(f"conf/{part}" for part in _PARTS)):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "imapd.conf").write_text(_IMAPD.format(folder=folder))
        command = f"-C {folder}/imapd.conf"
        (folder / "cyrus.conf").write_text(
            f'START {{\n  recover cmd="ctl_cyrusdb {command} -r"\n}}\n'
            "SERVICES {\n"
            f'  imap cmd="imapd {command} -U 30" listen="127.0.0.1:{self.imap_port}" prefork=0 maxchild=20\n'
            f'  http cmd="httpd {command} -U 30" listen="127.0.0.1:{self.port}" prefork=0 maxchild=20\n'
            "}\n"
            f'EVENTS {{\n  checkpoint cmd="ctl_cyrusdb {command} -c" period=30\n}}\n'
        )
        for user in (self.username, "cyrus"):
            for realm in (socket.gethostname(), "localhost"):
                subprocess.run(
                    ["saslpasswd2", "-f", str(folder / "sasldb2"), "-c", "-p", "-u", realm, user],
                    input=f"{self.password}\n".encode(),
                    check=True,
                    timeout=20,
                )

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                self._make_mailbox()
            except (OSError, imaplib.IMAP4.error):
                time.sleep(0.2)
            else:
                return super()._wait()
        raise RuntimeError(f"Cyrus did not start:\n{(self.folder / 'log.txt').read_text()[-2000:]}")

    def _make_mailbox(self) -> None:
        """The user's mailbox is what makes the calendar home appear."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10) as mail:
            mail.login("cyrus", self.password)
            mail.create(f"user/{self.username}")


_PARTS = ("db", "socket", "log", "msg", "proc", "quota", "user", "sieve", "ptclient")
_IMAPD = """\
configdirectory: {folder}/conf
partition-default: {folder}/spool
defaultpartition: default
proc_path: {folder}/proc
mboxname_lockpath: {folder}/lock
admins: cyrus
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
sasl_mech_list: PLAIN
httpmodules: caldav
caldav_realm: Cyrus
caldav_allowscheduling: off
idlesocket: {folder}/idle
notifysocket: {folder}/notify
lmtpsocket: {folder}/lmtp
syslog_prefix: lockstep-test
"""
