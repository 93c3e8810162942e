"""Who may import whom: the layers of the house, pure rooms, and a few habits that nobody may break by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*ROOT.glob("portal/**/*.py"), *ROOT.glob("providers/**/*.py"), ROOT / "worker.py"])

# A room may import the rooms below it. `availability` stands apart: it knows only intervals.
LAYERS = [
    {"clock", "config", "errors", "intervals", "failpoints", "i18n", "logs", "hypermedia", "headers"},
    {"availability", "security", "outbound"},
    {"extensions", "db"},
    {"business", "accounts", "outbox", "calendars", "instance"},
    {"booking"},
    {"waitlist"},
    {"sync", "notifications", "channels", "api", "customers"},
    {"admin"},
]
PURE = [
    "portal/availability/*.py",
    "portal/intervals.py",
    "portal/errors.py",
    "portal/language/say.py",
    "portal/language/names.py",
    "portal/booking/rules.py",
    "portal/booking/fixed/occurrences.py",
    "portal/waitlist/plan.py",
    "portal/sync/pull/plan.py",
    "portal/sync/due.py",
    "portal/notifications/compose/messages.py",
    "portal/notifications/compose/due.py",
    "portal/notifications/compose/facts.py",
    "portal/notifications/compose/letter.py",
    "portal/notifications/compose/manage_link.py",
    "portal/notifications/compose/news.py",
    "portal/notifications/compose/own_words.py",
    "portal/notifications/compose/sheet.py",
    "portal/notifications/compose/samples.py",
    "portal/notifications/compose/wording.py",
    "portal/booking/invitation/customer_ics.py",
]
# Routes stand at the edge of their room and may look across; the pages of a room are not used by other code.
EDGES = {"routes.py", "google_routes.py", "parting_routes.py", "manage.py", "forms.py"}


def imports(path: Path) -> list[str]:
    """Modules that a file imports when it is loaded or run, as dotted names; imports for type checking do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def room(name: str) -> str:
    """The room of a dotted name or path inside portal: "portal.booking.rules" -> "booking"."""
    return name.split(".")[1] if name.startswith("portal.") else ""


def level(name: str) -> int | None:
    return next((number for number, layer in enumerate(LAYERS) if name in layer), None)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_rooms_below_it(path):
    here = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = level(room(here))
    if own is None or path.name in EDGES:
        return
    above = {name for name in imports(path) if room(name) != room(here) and (level(room(name)) or 0) > own}
    assert not above, f"{here} imports from above: {sorted(above)}"


@pytest.mark.parametrize("path", sorted({p for pattern in PURE for p in ROOT.glob(pattern)}), ids=lambda p: p.stem)
def test_pure_rooms_import_neither_web_nor_database_nor_network(path):
    forbidden = (
        "flask",
        "sqlalchemy",
        "requests",
        "caldav",
        "portal.database.engine",
        "portal.extensions",
        "portal.clock",
        "redis",
        "rq",
    )
    assert not [name for name in imports(path) if name.split(".")[0] in forbidden or name.startswith(forbidden)]


@pytest.mark.parametrize("path", sorted(ROOT.glob("providers/**/*.py")), ids=lambda path: path.stem)
def test_providers_know_nothing_of_the_portal(path):
    assert not [name for name in imports(path) if name.startswith("portal")]


def test_booking_tells_the_world_through_the_outbox_only():
    for path in ROOT.glob("portal/booking/*.py"):
        if path.name in EDGES:
            continue
        rooms = {room(name) for name in imports(path)}
        assert rooms.isdisjoint({"sync", "notifications", "channels", "api", "admin"}), path


def test_one_module_alone_speaks_http_to_the_outside():
    """SECURITY A37: a second client would go past the guard. caldav's client is built with the guarded session in one place."""
    clients = ("requests", "urllib.request", "httpx", "http.client", "urllib3", "niquests", "aiohttp")
    # http.client: `serve` asks its own web server whether it answers
    allowed = {
        "portal/outbound/session.py",
        "portal/outbound/connections.py",
        "portal/outbound/addresses.py",
        "portal/process/serve.py",
    }
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        found = [imported for imported in imports(path) if imported.startswith(clients)]
        if name in allowed or name.startswith("portal/demo/"):
            continue
        # exceptions and types may be named anywhere; sessions and functions that connect may not
        connecting = [
            i
            for i in found
            if not i.startswith(("requests.exceptions", "requests.Response", "requests.auth", "requests.models"))
        ]
        tree = path.read_text(encoding="utf-8")
        assert not any(
            word in tree for word in ("requests.get(", "requests.post(", "requests.request(", "requests.Session(")
        ), name
        assert not [i for i in connecting if i not in ("requests", "requests.Session")], (name, connecting)


def test_only_the_clock_reads_time():
    """Providers stand in their own world: theirs read the time where they have to, and can be given another clock."""
    readers = ("datetime.now(", "datetime.utcnow(", "time.time(", "date.today(")
    allowed = {"portal/clock.py"}
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if name not in allowed and not name.startswith("providers/"):
            assert not [reader for reader in readers if reader in text], name


def test_only_hypermedia_imports_htmx_flask():
    users = [path for path in MODULES if any(name.startswith("htmx_flask") for name in imports(path))]
    assert [path.name for path in users] == ["hypermedia.py"]


def test_no_statement_is_put_together_from_strings():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text" and node.args:
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}"


def test_handlers_read_what_was_posted_and_never_the_query_in_its_place():
    for path in MODULES:
        assert "request.values" not in path.read_text(encoding="utf-8"), path


def test_no_page_trusts_text_as_html():
    for path in ROOT.glob("templates/**/*"):
        if path.is_file():
            assert "|safe" not in path.read_text(encoding="utf-8").replace(" ", ""), path
    for path in MODULES:
        assert "Markup(" not in path.read_text(encoding="utf-8"), path


def test_the_project_names_no_place_of_the_machine_that_built_it():
    places = ("/work" + "/", "/root" + "/", "pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js")
    for path in ROOT.glob("**/*"):
        parts = path.relative_to(ROOT).parts
        if (
            not path.is_file()
            or parts[0] in {".git", ".venv", "var"}
            or "__pycache__" in parts
            or parts[0].startswith(".")
        ):
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        assert not [place for place in places if place in text], path
