"""`lockstep`, and `python -m portal`. Before anything else is loaded Ctrl-C is told to end the process silently: nothing has been begun yet, so
there is nothing to clean up and nothing to say. What begins something takes Ctrl-C over: `ProcessTree`, or Python's own way."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Entry point of the `lockstep` script."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from portal.commands import main as cli

    if sys.argv[1:2] != ["serve"] and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
