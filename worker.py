"""The background process: `python worker.py` is `lockstep worker`. What it does stands in `portal.worker`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.umask(0o077)
    from portal.commands.main import run

    sys.exit(run(["worker"]))  # what is wrong is one sentence, as with the command
