"""A small tree of processes: started in order, started again when one dies, stopped in the opposite order, gone when the parent is gone.

Two kinds of children: `Forked` runs a function of ours in a fork of this process, so that what was imported once is imported for all;
`Program` runs another program. Each is the leader of its own session: Ctrl-C in the terminal reaches the parent alone, which
then stops them one after the other. Used by `lockstep serve`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import Protocol

Say = Callable[[str], None]
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before a child that died is started again; doubled each time, until it has lived for a minute."""


SAME_SIGNAL = 0.3
"""Seconds within which two signals are one wish."""


class Child(Protocol):
    name: str

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def is_alive(self) -> bool: ...
    def ask_to_stop(self) -> None: ...
    def wait(self, seconds: float) -> bool: ...
    def kill(self) -> None: ...
    def ending(self) -> str: ...


class Forked:
    """A function in a forked process. `closing` are file descriptors of the parent that the child must not keep open."""

    def __init__(self, name: str, run: Callable[[], None], *, closing: Sequence[int] = ()) -> None:
        self.name = name
        self._run = run
        self._closing = closing
        self._process: multiprocessing.context.ForkProcess | None = None

    def start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=self._in_the_child, name=self.name)
        self._process.start()

    @property
    def sentinel(self) -> int | None:
        """Becomes readable when the process ends."""
        return self._process.sentinel if self._process else None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def ask_to_stop(self) -> None:
        if self._process and self._process.is_alive():
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        if self._process is None:
            return True
        self._process.join(seconds)
        return not self._process.is_alive()

    def kill(self) -> None:
        if self._process and self._process.pid:
            _kill_session(self._process.pid)
            self._process.join(1)

    def ending(self) -> str:
        return _ending(self._process.exitcode if self._process else None)

    def _in_the_child(self) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in self._closing:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        end_with_parent()
        self._run()


class Program:
    """Another program. Its output goes to `log`, or nowhere."""

    sentinel = None

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = log
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self._log or os.devnull, "ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None, env=self._environ,
            )  # fmt: skip

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        if self._process and self.is_alive():
            self._process.terminate()

    def wait(self, seconds: float) -> bool:
        if self._process is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.is_alive()

    def kill(self) -> None:
        if self._process:
            _kill_session(self._process.pid)
            self._process.wait(1)

    def ending(self) -> str:
        return _ending(self._process.poll() if self._process else None)


class ProcessTree:
    """Watches children until SIGINT, SIGTERM or SIGHUP. Use as a context manager: leaving it stops whatever was started."""

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._children: list[Child] = []
        self._restarts: dict[str, _Restart] = {}
        self._signals, self._last_signal_at = 0, 0.0
        self._reader, self._writer = os.pipe()

    def __enter__(self) -> ProcessTree:
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    @property
    def is_stopping(self) -> bool:
        return self._signals > 0

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a forked child must close."""
        return self._reader, self._writer

    def start(self, child: Child) -> None:
        """Start a child and look after it from now on."""
        self._children.append(child)
        self._restarts[child.name] = _Restart(time.monotonic())
        child.start()

    def forget(self, child: Child) -> None:
        """Look after a child no longer."""
        self._children.remove(child)

    def pid_of(self, name: str) -> int | None:
        """The process of the child with this name, as it runs now."""
        return next((child.pid for child in self._children if child.name == name), None)

    def watch(self) -> None:
        """Until a signal arrives: start again what died."""
        while not self.is_stopping:
            self._mend()
            sentinels = [child.sentinel for child in self._children if child.is_alive() and child.sentinel]  # type: ignore[attr-defined]
            wait_for_any([self._reader, *sentinels], timeout=0.5)

    def stop(self, *, limits: Mapping[str, float] | None = None) -> None:
        """Stop all, last started first, each within its limit (3 s); what does not stop is killed. A second signal kills at once."""
        for child in reversed(self._children):
            child.ask_to_stop()
            if not self._wait(child, (limits or {}).get(child.name, 3.0)):
                child.kill()
        self._children = []

    def _wait(self, child: Child, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._signals < 2:
            if child.wait(0.05):
                return True
        return not child.is_alive()

    def _mend(self) -> None:
        for child in self._children:
            if child.is_alive():
                continue
            restart = self._restarts[child.name]
            if restart.due_at is None:
                delay = restart.plan(time.monotonic())
                self._say(
                    f"The {child.name} ended unexpectedly ({child.ending()}); it is started again in {delay:g} s."
                )
            elif time.monotonic() >= restart.due_at:
                restart.begin(time.monotonic())
                child.start()
                self._say(f"The {child.name} runs again (process {child.pid}).")

    def _on_signal(self, _number: int, _frame: object) -> None:
        """One Ctrl-C may come twice, by the terminal and by `make`; it counts once."""
        now = time.monotonic()
        if now - self._last_signal_at > SAME_SIGNAL:
            self._signals += 1
            with contextlib.suppress(
                OSError
            ):  # straight to the terminal: what is being printed may have been interrupted halfway
                os.write(1, "Stopping …\n".encode())
        self._last_signal_at = now


class _Restart:
    """When a child was started, and when it is due again."""

    def __init__(self, now: float) -> None:
        self.started_at = now
        self.due_at: float | None = None
        self._delay = FIRST_DELAY

    def plan(self, now: float) -> float:
        lived_long = now - self.started_at > 60
        delay = FIRST_DELAY if lived_long else self._delay
        self._delay = min(delay * 2, LONGEST_DELAY)
        self.due_at = now + delay
        return delay

    def begin(self, now: float) -> None:
        self.started_at = now
        self.due_at = None


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its parent dies, even by SIGKILL."""
    if sys.platform == "linux":
        _die_with_parent()
    else:
        threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()


def _die_with_parent() -> None:
    """Linux: the kernel does it (prctl PR_SET_PDEATHSIG, 1)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _kill_session(pid: int) -> None:
    """Kill a child and what it started: they are one process group, since the child leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _ending(status: int | None) -> str:
    if status is None:
        return "still running"
    return f"signal {-status}" if status < 0 else f"status {status}"
