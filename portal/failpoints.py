"""Places where a kill test may let this process die. Harmless unless the environment variable LOCKSTEP_FAILPOINT names one of them.

Only `tests/faults/` sets it. What is killed is this very process, by SIGKILL, so nothing can be tidied up: exactly what a power cut does.
LOCKSTEP_FAILPOINT_ONCE may name a file; the process dies only when it can make that file, so its successor lives.
"""

from __future__ import annotations

import os
import signal

NAMES = (
    "publish.before_intent",
    "publish.after_intent",
    "publish.after_request",
    "publish.before_receipt_commit",
    "publish.before_settle",
    "pull.after_request",
    "pull.before_commit",
    "pull.after_commit",
    "tokens.after_answer",
    "tokens.after_commit",
    "farewell.after_delete",
    "farewell.before_forget",
    "mail.after_send",
    "erase.after_cancel",
    "erase.after_batch",
    "migration.after_step",
)


def reach(name: str) -> None:
    """Die here if this is the place that LOCKSTEP_FAILPOINT names."""
    if os.environ.get("LOCKSTEP_FAILPOINT") == name and _is_first_time():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first_time() -> bool:
    path = os.environ.get("LOCKSTEP_FAILPOINT_ONCE")
    if not path:
        return True
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
