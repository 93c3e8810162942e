"""A process of its own that wants an access token: `python -m tests.operations.sync.token_reader CONNECTION_ID`, with the portal's environment.

Prints “ready”, waits for a line, and then prints the token. The tests of `test_tokens` start several at once, or let one die on the way.
"""

from __future__ import annotations

import sys

from portal.app import create_app
from portal.calendars.account import account_of
from portal.calendars.models import Connection
from portal.calendars.oauth.tokens import StoredTokens
from portal.database.engine import read_transaction


def main(connection_id: int) -> None:
    app = create_app()
    with app.app_context():
        tokens = StoredTokens(read_transaction(lambda session: account_of(session.get_one(Connection, connection_id))))
        print("ready", flush=True)
        sys.stdin.readline()
        print(tokens.current(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
