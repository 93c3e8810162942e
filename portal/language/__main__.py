"""`python -m portal.language`: bring the catalogs up to date. Exits with 1, naming them, when texts want a translation."""

from __future__ import annotations

import sys

from portal.language.catalogs import TRANSLATED, extracted, po_file, update


def main() -> int:
    texts, missing = extracted(), 0
    for tag in TRANSLATED:
        for message in update(tag, texts):
            missing += 1
            sys.stderr.write(f"{po_file(tag)}: not translated yet: {message.id!r}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
