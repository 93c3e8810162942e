"""Serves `static/` with a hash of the content in each address, compressed once, kept by browsers for ever.

At start the stylesheets of the whole site are joined into one file (a first page may cost four requests), our own scripts leave their
comments at home (it may weigh 20 kB of script), every file gets its hash into its name, and copies in Brotli and gzip are put beside it
under `data`/static, where WhiteNoise serves them. A changed file has a new address, so nothing ever needs to be revalidated.
Templates ask `asset("site.css")` for the address.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import brotli
from flask import Flask
from whitenoise import WhiteNoise

PREFIX = "static"
SITE_CSS = ("tokens", "base", "layout", "buttons", "forms", "components", "booking", "print")
"""The files of `static/css` that make up site.css, in this order; any other file there is served on its own."""
SUFFIXES = {".css", ".js", ".svg", ".png", ".txt"}
_REMARK = re.compile(rb"^\s*(//.*|/\*\*.*\*/)\n|^ +", re.MULTILINE)
"""A line that is nothing but a comment, or the blanks before one."""
_HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")


def init_app(app: Flask) -> None:
    """Build the files where they are missing, put WhiteNoise in front of the app, and teach templates `asset()`."""
    folder = app.extensions["settings"].data / "static"
    addresses = {name: _build(folder, name, content) for name, content in _sources(Path(app.root_path) / "static")}

    def asset(name: str) -> str:
        """The address of a file of `static/` by its bare name; an unknown name is a mistake in a template."""
        return f"/{PREFIX}/{addresses[name]}"

    app.jinja_env.globals["asset"] = asset
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=str(folder),
        prefix=PREFIX,
        allow_all_origins=False,
        immutable_file_test=lambda _path, url: bool(_HASHED.search(url)),
        add_headers_function=_add_headers,
    )


def _sources(static: Path) -> Iterator[tuple[str, bytes]]:
    """(bare name, content) of everything that is served."""
    yield "site.css", b"\n".join((static / "css" / f"{part}.css").read_bytes() for part in SITE_CSS)
    for path in sorted(static.rglob("*")):
        is_part = path.suffix == ".css" and path.stem in SITE_CSS
        is_ours = path.suffix == ".js" and not path.stem.endswith(".min")
        if path.suffix in SUFFIXES and not is_part:
            yield path.name, _REMARK.sub(b"", path.read_bytes()) if is_ours else path.read_bytes()


def _build(folder: Path, name: str, content: bytes) -> str:
    """Write the file and its compressed copies unless they are there; returns the name with the hash."""
    stem, suffix = os.path.splitext(name)
    hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
    if not (folder / hashed).exists():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(folder / f"{hashed}.br", brotli.compress(content))
        _write(folder / f"{hashed}.gz", gzip.compress(content, mtime=0))
        _write(folder / hashed, content)  # last: it says that all three are there
    return hashed


def _write(path: Path, content: bytes) -> None:
    """Appear whole or not at all: another process may be starting at the same time."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_bytes(content)
    draft.replace(path)


def _add_headers(headers: dict[str, str], _path: str, _url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
