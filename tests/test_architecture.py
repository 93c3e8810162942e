"""Who may import whom: the layers of the house, pure rooms, and a few habits that nobody may break by accident."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import pytest

from portal.config import Settings
from providers.kind import SignIn
from providers.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*ROOT.glob("portal/**/*.py"), *ROOT.glob("providers/**/*.py"), ROOT / "worker.py"])

# The floors of the house, from the ground up. A room may import what stands on a lower floor; rooms on one floor do not know each other.
LINE = """
clock errors failpoints intervals < config < extensions < doorbell logs security language availability < database timekeeping < outbox outbound
< business < accounts instance < calendars < booking < waitlist sync customers < notifications < privacy seed upkeep
< web < public api admin hooks < app < worker backups < process < demo < commands < start
"""
FLOORS = {room: number for number, floor in enumerate(LINE.split("<")) for room in floor.split()}
START = {"portal.__main__", "worker"}
"""What is started by name stands on top of all."""
BESIDE = {"portal.migrations"}
"""Alembic's own folder: it is run, and imported by nobody."""

FILES_IN_A_ROOM = 12
HISTORY = {"portal/migrations/versions"}
"""Grows by a file with each change of the tables."""

HEAVY = {
    "_typeshed": "for type checkers alone",
    "authlib": "the sign-in at a provider; few processes need it",
    "cryptography": "loaded when the first secret is opened",
    "ctypes": "where the system has what is asked of it",
    "dotenv": "once at the start, and not where the settings are given",
    "flask_migrate": "Alembic, for upgrades alone",
    "googleapiclient": "a quarter of a second, and 20 MB of each process",
    "icalendar": "for mails and calendar files, not for pages",
    "prometheus_client": "for /metrics alone",
    "redis": "pages ring the doorbell in a thread of their own",
    "rq": "the same",
    "portal.outbound": "requests and urllib3: pages ask no server",
    "portal.worker.answer_doorbell": "RQ",
    "providers.calendars.caldav": "lxml and caldav",
    "providers.calendars.google": "authlib, and Google's library",
    "providers.calendars.memory": "for tests",
}
"""What may be imported inside functions, and why it is not loaded with the module."""
PARENTS = {
    "portal.__main__": "sets the mode of files before anything is loaded",
    "portal.commands": "`lockstep --help` does not wait for the portal",
    "portal.demo": "loads the portal in the process that runs it",
    "portal.process": "loads the application once, just before it forks",
}
"""Rooms that start others: these load them when they are needed."""

SAYS_PURE = re.compile(r"\bPure[.;:]")
IMPURE = (
    "flask",
    "flask_login",
    "sqlalchemy",
    "requests",
    "urllib3",
    "urllib.request",
    "http",
    "socket",
    "caldav",
    "redis",
    "rq",
    "time",
    "random",
)
SHAPES = {"requests.Response", "requests.exceptions", "requests"}


def dotted(path: Path) -> str:
    """The name by which a file is imported; a folder's `__init__.py` is the folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in MODULES}


@dataclass(frozen=True)
class Arrow:
    """One import: the module that holds it, the whole name, and where it stands."""

    source: str
    name: str
    is_lazy: bool
    for_types: bool

    @property
    def target(self) -> str:
        """Our module that is meant; what is not ours is as it was written."""
        name = self.name
        while name not in NAMES and "." in name:
            name = name.rpartition(".")[0]
        return name if name in NAMES else self.name


@cache
def arrows(path: Path) -> tuple[Arrow, ...]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    lazy = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}:{node.lineno}: imports have whole names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [Arrow(dotted(path), name, id(node) in lazy, id(node) in for_types) for name in names]
    return tuple(found)


def imports(path: Path) -> list[str]:
    """Modules that a file imports when it is loaded or run, as dotted names; imports for type checking do not count."""
    return [arrow.name for arrow in arrows(path) if not arrow.for_types]


def is_in(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room(name: str) -> str:
    """The room of a dotted name: "portal.booking.rules" -> "booking"."""
    if name in START:
        return "start"
    return name.split(".")[1] if name.startswith("portal.") else ""


def circles(arrows_of: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of which each member leads to every other (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in arrows_of.get(name, ()):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in arrows_of:
        if name not in order:
            visit(name)
    return found


OURS = [path for path in MODULES if dotted(path) != "portal" and not is_in(dotted(path), {"providers", *BESIDE})]
ids = pytest.mark.parametrize("path", OURS, ids=dotted)


@ids
def test_a_room_imports_only_rooms_below_it(path):
    here = dotted(path)
    assert room(here) in FLOORS, f"{here} stands on no floor: name its room in LINE"
    own = FLOORS[room(here)]
    above = {
        arrow.target
        for arrow in arrows(path)
        if not arrow.for_types
        and room(arrow.target) not in ("", room(here))
        and arrow.target in NAMES
        and FLOORS.get(room(arrow.target), own) >= own
    }
    assert not above, f"{here} imports from above, or from beside: {sorted(above)}"


def test_every_floor_of_the_line_is_lived_on():
    assert {room(dotted(path)) for path in OURS} == set(FLOORS)


def test_no_two_files_need_each_other():
    own = {
        name: {a.target for a in arrows(path) if not a.for_types and a.target != name} for name, path in NAMES.items()
    }
    assert circles(own) == []


def test_no_two_folders_of_a_room_need_each_other():
    own: dict[str, set[str]] = {}
    for name, path in NAMES.items():
        here = name.rpartition(".")[0]
        for arrow in arrows(path):
            there = arrow.target.rpartition(".")[0]
            if (
                room(name)
                and room(name) == room(arrow.target)
                and here.count(".") > 1
                and there.count(".") > 1
                and not arrow.for_types
            ):
                own.setdefault(here, set()).update({there} - {here})
    assert circles(own) == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_only_what_is_heavy_is_imported_inside_of_functions(path):
    late = [
        arrow.name for arrow in arrows(path) if arrow.is_lazy and not arrow.for_types and not is_in(arrow.name, HEAVY)
    ]
    assert not late or is_in(dotted(path), PARENTS) or is_in(dotted(path), {"providers.standins", *BESIDE}), late


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in MODULES}), ids=lambda folder: str(folder.relative_to(ROOT))
)
def test_a_folder_can_be_taken_in_at_a_glance(folder):
    files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= FILES_IN_A_ROOM or str(folder.relative_to(ROOT)) in HISTORY, files


def says_pure(path: Path) -> bool:
    return bool(SAYS_PURE.search(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""))


PURE = {dotted(path): path for path in MODULES if says_pure(path)}


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_calls_itself_pure_is_held_to_it(name):
    """Neither web nor database, clock nor network; and only what is pure itself. Tables are not, whatever is taken from them."""
    path = PURE[name]
    used = {arrow for arrow in arrows(path) if not arrow.for_types}
    assert not [a.name for a in used if is_in(a.name, IMPURE) and not is_in(a.name, SHAPES)]
    assert not [a.target for a in used if a.target in NAMES and a.target not in PURE]


def test_pages_are_not_domain():
    """Routes and templates stand in the rooms of pages, of programs and of providers' calls; the rooms of the domain know neither."""
    for path in OURS:
        if room(dotted(path)) in {"public", "admin", "api", "hooks", "web", "app"}:
            continue
        used = {name for name in imports(path) if name.startswith("flask.")}
        assert used.isdisjoint(
            {
                "flask.Blueprint",
                "flask.render_template",
                "flask.redirect",
                "flask.url_for",
                "flask.request",
                "flask.flash",
            }
        ), path


def of_a_provider(path: Path) -> bool:
    """Whether a file is a provider's own, or the place of all their records."""
    name = str(path.relative_to(ROOT))
    own = [
        f"{place}/{kind}/"
        for kind in KINDS
        for place in ("providers/calendars", "providers/standins", "templates/admin")
    ]
    own += [f"providers/calendars/{kind}.py" for kind in KINDS]
    return name == "providers/kinds.py" or name.startswith((*own, "portal/migrations/"))


@pytest.mark.parametrize("path", [path for path in MODULES if not of_a_provider(path)], ids=dotted)
def test_no_code_asks_which_provider_it_is(path):
    """What differs by provider is in its record (`providers.kinds`): its name, its endpoints and its settings stand nowhere else."""
    names = "|".join(KINDS)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [word for word in words if re.fullmatch(rf"({names})(\.\w+)?", word)]
    settings = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [name for name in settings if re.match(rf"({names})_", name)]
    if room(dotted(path)) != "demo":  # it plays one of them
        asked = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        assert not [ast.unparse(node) for node in asked if re.search(rf"\b({names.upper()})\b", ast.unparse(node))]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(ROOT.glob("templates/**/*.*")) if not of_a_provider(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_template_asks_which_provider_it_is(path):
    asked = "".join(re.findall(r"\{[{%].*?[%}]\}", path.read_text(encoding="utf-8"), re.DOTALL))
    names = "|".join(KINDS)
    assert not re.findall(rf"""["']({names})(?:["'.])|\w+_({names})\b""", asked)


def test_what_a_record_names_is_there():
    for kind in KINDS.values():
        named = [kind.opens, kind.stand_in]
        named += [kind.push.reads] if kind.push else []
        if kind.consent:
            named.append(kind.consent.module)
            assert set(vars(SignIn)) & set(dir(resolve_name(kind.consent.module))) >= {
                "consent_url",
                "exchange",
                "refresh",
                "revoke",
                "missing_scopes",
            }
            own = [getattr(kind.consent.settings, field.name) for field in dataclasses.fields(kind.consent.settings)]
            assert not [name for name in own if name and not hasattr(Settings(), name.lower())]
        assert all(resolve_name(name) for name in named if name)


def test_the_portal_imports_no_stand_in():
    for path in MODULES:
        if not is_in(dotted(path), {"providers.standins"}):
            assert not [name for name in imports(path) if name.startswith("providers.standins")], path


@pytest.mark.parametrize("path", sorted(ROOT.glob("providers/**/*.py")), ids=dotted)
def test_providers_know_nothing_of_the_portal(path):
    assert not [name for name in imports(path) if name.startswith("portal")]


def test_booking_tells_the_world_through_the_outbox_only():
    for path in ROOT.glob("portal/booking/**/*.py"):
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
        if name in allowed or name.startswith(("portal/demo/", "providers/standins/")):
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
    for path in OURS:
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
