"""`lockstep serve`: the whole portal in one process tree, for one machine and one command.

The parent imports the application once, opens the port, brings the database up to date, and forks the worker and the web server; the
embedded queue server and the demo's calendar server are programs of their own. It answers no requests itself: it watches.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from portal.config import Settings, load_settings
from portal.process.queue_server import QueueServer
from portal.process.tree import Forked, ProcessTree
from portal.process.web_server import CannotStart, listen, run_web
from portal.upkeep.settings_checks import warnings

if TYPE_CHECKING:
    from flask import Flask

STOP_LIMITS = {"web server": 2.0, "worker": 4.5, "queue server": 1.0, "calendar server": 1.0}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Options:
    host: str = "127.0.0.1"
    port: int = 8000
    retry: str = "--port {port}"
    """What somebody writes to start it on another port, where this one is taken."""


class Companion(Protocol):
    """What `--demo` adds."""

    def start(self, tree: ProcessTree) -> None:
        """Start programs of its own, without waiting for them."""

    def prepare(self, app: Flask) -> None:
        """Fill the database, before anything is served."""

    def announce(self, app: Flask) -> None:
        """Say where things are."""


def serve(options: Options, *, companion: Companion | None = None) -> None:
    """Run until a signal comes. Raises CannotStart, and whatever is wrong with settings or database; nothing is left running then."""
    _name_address(options)
    settings = load_settings()
    with _only_one(settings.data, options), _open_port(options) as listener, ProcessTree(say=_say) as tree:
        _start(settings, options, tree, listener, companion)
        tree.watch()
        listener.close()
        tree.stop(limits=STOP_LIMITS)


def _start(
    settings: Settings, options: Options, tree: ProcessTree, listener: socket.socket, companion: Companion | None
) -> None:
    """One step after the other, until all runs or a signal has come."""
    queue = start_queue(tree, settings)
    if companion and not tree.is_stopping:
        companion.start(tree)
    if tree.is_stopping:
        return
    app = prepare(_with_queue(settings, queue))
    if companion and not tree.is_stopping:
        companion.prepare(app)
    if not tree.is_stopping:
        run(app, tree, listener, options)
    if not tree.is_stopping:
        companion.announce(app) if companion else announce(app, options)


def start_queue(tree: ProcessTree, settings: Settings) -> QueueServer | None:
    """Start the embedded queue server unless REDIS_URL is set. Without one the portal works, a little slower."""
    if settings.redis_url:
        return None
    queue = QueueServer(settings.data)
    try:
        tree.start(queue)
    except OSError as error:
        tree.forget(queue)
        _say(
            f"The embedded queue server cannot start: {error}. Everything works without it, but deliveries take some seconds longer."
        )
        return None
    os.environ["REDIS_URL"] = queue.url  # for the children
    return queue


def prepare(settings: Settings) -> Flask:
    """The application, its database brought up to date and proven to refuse double bookings."""
    from portal.app import create_app
    from portal.backups.upgrade import bring_up_to_date
    from portal.upkeep import adoption
    from portal.upkeep.fitness import require_guards

    app = create_app(settings)
    with app.app_context():
        for sentence in bring_up_to_date(settings):
            _say(sentence)
        require_guards()
        adoption.settle()
    return app


def run(app: Flask, tree: ProcessTree, listener: socket.socket, options: Options) -> None:
    """Fork worker and web server, and wait until pages are served."""
    from portal.extensions import db

    with app.app_context():
        db.engine.dispose()  # connections must not be shared over a fork
    tree.start(Forked("worker", _run_worker, closing=(*tree.descriptors, listener.fileno())))
    tree.start(Forked("web server", lambda: run_web(app, listener), closing=tree.descriptors))
    wait_until_served(tree, options)


def wait_until_served(tree: ProcessTree, options: Options, *, seconds: float = 30) -> None:
    """Until pages are served, or a signal came. Raises CannotStart."""
    until = time.monotonic() + seconds
    while not tree.is_stopping:
        if _answers(options):
            return
        if time.monotonic() > until:
            raise CannotStart(f"The web server does not answer after {seconds:g} s. What it said stands above.")
        time.sleep(0.02)


def announce(app: Flask, options: Options) -> None:
    """Tell where the portal is, and how the first owner gets in."""
    from portal.database.engine import read_transaction
    from portal.instance.standing import standing

    settings: Settings = app.extensions["settings"]
    _say(f"Lockstep is ready at {settings.url} (data in {settings.data}). Ctrl-C stops it.")
    warning = address_warning(settings, options.host)
    if warning:
        _say(warning)
    with app.app_context():
        not_adopted = read_transaction(standing).sentence
    if not_adopted:
        _say(not_adopted)
    for sentence in warnings(settings, os.environ):
        _say(f"Warning: {sentence}")
    link = first_owner_link(app)
    if link:
        _say(f"There is no owner yet. Open this link once to become it:\n  {link}")


def address_warning(settings: Settings, host: str) -> str:
    """A sentence when passwords would travel readable, or links lead nowhere; empty when all is well."""
    if host in LOOPBACK or settings.is_https:
        return ""
    return (
        f"Warning: this address is open to the network ({host}), but LOCKSTEP_URL is {settings.url}: without https passwords and "
        "manage links can be read on the way. Put a reverse proxy with a certificate in front, and set LOCKSTEP_URL and TRUSTED_PROXIES."
    )


def first_owner_link(app: Flask) -> str:
    """A one-time link for the first owner; empty when there is one."""
    from portal.accounts import operations

    with app.app_context():
        if operations.first_owner_exists():
            return ""
        token = operations.create_setup_link()
        return f"{app.extensions['settings'].url}/setup/{token}"


@contextmanager
def _open_port(options: Options) -> Iterator[socket.socket]:
    listener = listen(options.host, options.port, retry=options.retry)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def _only_one(data: Path, options: Options) -> Iterator[None]:
    """Two Locksteps on one data folder would end each other's queue server. Raises CannotStart."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise CannotStart(
            f"Lockstep already runs with the data in {data}. Stop it first, or give this one a folder and a port of its own: set "
            f"LOCKSTEP_DATA to another folder, and use {options.retry.format(port=options.port + 1)}"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _name_address(options: Options, environ: Mapping[str, str] | None = None) -> None:
    """Without LOCKSTEP_URL, links lead to the port that was asked for."""
    from dotenv import load_dotenv

    load_dotenv(Path.cwd() / ".env")
    os.environ["LOCKSTEP_URL"] = os.environ.get("LOCKSTEP_URL") or f"http://{_reachable(options.host)}:{options.port}"


def _reachable(host: str) -> str:
    """The host to connect to for an address to listen on."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _answers(options: Options) -> bool:
    connection = http.client.HTTPConnection(_reachable(options.host).strip("[]"), options.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _with_queue(settings: Settings, queue: QueueServer | None) -> Settings:
    return replace(settings, redis_url=queue.url) if queue else settings


def _run_worker() -> None:
    from portal.worker import run

    run.main(is_proven=True)


def _say(sentence: str) -> None:
    click.echo(sentence)
