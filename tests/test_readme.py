"""README and docs/ say what is so: every setting, command, target, package, file and function that they name is there, and none is forgotten."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from portal.commands.main import COMMANDS
from portal.config import NAMES, SECRETS, Settings
from portal.worker.jobs import TOPICS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
DEVELOPING = ROOT / "docs" / "developing"
DEPENDENCIES = (DEVELOPING / "dependencies.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "tests" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

CODE_PATH = r"`((?:portal|providers|tests)/[\w./]+\.py)`"


def section(title):
    return re.search(rf"^##+ {title}\n(.*?)(?=^##+ |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def test_readme_is_short_enough_to_be_read():
    assert len(README.splitlines()) <= 130
    assert len(chart().splitlines()) <= 35


def test_every_page_of_the_documentation_is_linked_from_somewhere():
    linked = {(page.parent / target).resolve() for page in PAGES for target in links_of(page)}
    assert not [page for page in PAGES[1:] if page not in linked]


def test_every_setting_has_its_row():
    rows = re.findall(r"^\| (`.+?) \|", SETTINGS, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted([*NAMES, "LOCKSTEP_DATA"])
    secret = [name for row in rows for name in re.findall(r"`(\w+)` ·", row)]
    assert sorted(secret) == sorted(SECRETS)


def test_readme_names_settings_that_there_are():
    named = re.search(r"Everybody needs (.*?)All of them", section("Running it for real"), re.DOTALL)[1]
    names = re.findall(r"`([A-Z_]+)`", named)
    assert "LOCKSTEP_URL" in names
    assert set(names) <= {*NAMES, "LOCKSTEP_DATA"}


def test_the_defaults_are_those_of_the_code():
    defaults = dict(re.findall(r"^\| `(\w+)`(?: ·)? \| `([^`]+)` \|", SETTINGS, re.MULTILINE))
    settings = Settings()
    assert defaults["LOCKSTEP_URL"] == settings.url
    assert defaults["MAIL_FROM"] == settings.mail_from
    assert defaults["TRUSTED_PROXIES"] == str(settings.trusted_proxies)
    assert defaults["LOCKSTEP_POLL_SECONDS"] == str(settings.poll_seconds)
    assert defaults["LOCKSTEP_DATA"] == f"./{settings.data}"


def test_every_field_of_the_settings_can_be_set():
    names = {name.removeprefix("LOCKSTEP_").lower() for name in [*NAMES, "LOCKSTEP_DATA"]}
    assert names == set(Settings.__dataclass_fields__)


def test_every_command_and_target_is_named():
    real = section("Running it for real")
    assert re.findall(r"`([\w-]+)`", re.search(r"All commands: (.*?);", real, re.DOTALL)[1]) == list(COMMANDS)
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)) - {
        "help"
    }
    assert targets == set(re.findall(r"make (\w+)  ", README)) | set(
        re.findall(r"`(\w+)`", re.search(r"other targets: (.*)\.", README)[1])
    )


def test_every_package_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {name(one) for one in project["dependencies"]}
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| ", DEPENDENCIES, re.MULTILINE)
    assert {one for row in rows for one in row.split(", ")} - {"package"} == wanted
    rest = DEPENDENCIES.partition("For development alone:")[2]
    assert not [one for one in map(name, project["optional-dependencies"]["dev"]) if one not in rest]


def name(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


def test_the_map_shows_every_room_and_nothing_else():
    shown, folder = set(), ""
    for line in chart().splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.findall(r"[\w.]+(?:\.py|/)(?=\s|$)", line.strip().split("   ")[0] if indent else line)
        names += [n for n in re.findall(r"(?<=  )[\w.]+(?:\.py|/)(?=\s)", line) if n not in names]
        for entry in names:
            shown.add(f"{folder}{entry}" if indent else entry)
        if not indent:
            folder = names[0] if names[0].endswith("/") else ""
    for path in shown:
        assert (ROOT / path).exists(), path
    rooms = {
        f"{p.relative_to(ROOT)}/"
        for top in ("portal", "providers")
        for p in (ROOT / top).iterdir()
        if p.is_dir() and p.name[0] not in "._"
    }
    assert rooms <= shown


def chart():
    return re.search(r"```\n(worker\.py.*?)```", README, re.DOTALL)[1]


def test_every_room_and_every_file_says_what_it_is():
    for path in [path for top in ("portal", "providers") for path in (ROOT / top).glob("**/*.py")]:
        if "migrations" not in path.parts:
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in links_of(page):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:portal|providers|tests|templates|static|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def links_of(page):
    found = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [target for target in found if "://" not in target]


def test_the_walk_names_functions_that_there_are():
    """Whatever a step names is defined in one of the files that it names, or is a topic, a status or a setting."""
    steps = walk()
    for step in steps:
        files = re.findall(CODE_PATH, step)
        defined = set().union(*(names_in(path) for path in files))
        named = re.findall(r"`(\w+)`", step)
        assert set(named) - defined <= STATUSES, step
        topics = re.findall(r"`((?:calendar|notify|waitlist)\.\w+)`", step)
        assert set(topics) <= set(TOPICS), step
    assert sum(len(re.findall(CODE_PATH, step)) for step in steps) > 50


def test_each_step_of_the_walk_leads_to_a_file():
    numbers = [int(step.partition(".")[0]) for step in walk()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not [step for step in walk() if not re.search(CODE_PATH, step)]


@pytest.mark.parametrize("page", sorted(DEVELOPING.glob("*.md")), ids=lambda page: page.name)
def test_what_is_named_beside_a_file_is_defined_there(page):
    text = page.read_text(encoding="utf-8")
    for path, name_ in re.findall(rf"{CODE_PATH}\s+`(\w+)`", text):
        assert name_ in names_in(path), (path, name_)
    for name_, path in re.findall(rf"`(\w+)`\s+(?:in|of)\s+{CODE_PATH}", text):
        assert name_ in names_in(path), (path, name_)


@pytest.mark.parametrize("page", sorted(DEVELOPING.glob("*.md")), ids=lambda page: page.name)
def test_every_class_that_is_named_is_there(page):
    named = re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", page.read_text(encoding="utf-8"))
    assert set(named) <= set().union(
        *(names_in(path) for top in ("portal", "providers") for path in (ROOT / top).glob("**/*.py"))
    )


STATUSES = {"held", "confirmed", "pending"}


def walk():
    text = (DEVELOPING / "README.md").read_text(encoding="utf-8").partition("\n## One booking")[2]
    return re.findall(r"^\d+\. .*?(?=^\d+\. |^#|\Z)", text, re.MULTILINE | re.DOTALL)


@cache
def names_in(path):
    """All classes, functions and constants of a file, methods too."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    return defined


def test_the_seed_file_in_the_documentation_is_a_good_one():
    from portal.seed.file import read_seed_file

    text = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "seed-file.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    file = read_seed_file(text, name="seed-file.md", environ={"ANA_CALDAV_PASSWORD": "x"})
    assert [service.slug for service in file.services] == ["consultation", "yoga"]


def test_the_defaults_in_the_documentation_are_those_of_the_code():
    from portal.seed.file import read_seed_file

    frame = (
        '[business]\nname = "x"\nzone = "Europe/Madrid"\n[[resource]]\nslug = "ana"\nname = "Ana"\n{}'
        '[[service]]\nslug = "consultation"\nname = "Consultation"\nduration = 30\nresources = ["ana"]\n'
    )
    calendar = '[[resource.calendar]]\nurl = "https://dav.example/"\nusername = "ana"\npassword = "x"\n'
    file = read_seed_file(frame.format(calendar), name="x", environ={})
    documented = (ROOT / "docs" / "seed-file.md").read_text(encoding="utf-8")
    for key, value in re.findall(r"^(\w+) = (\d+) +#.*default (?:0|60|1|600)$", documented, re.MULTILINE):
        holder = file.resources[0].calendars[0].rules if key == "freshness" else file.services[0].values
        stated = re.search(rf"^{key} = \d+ +#.*default (\d+)$", documented, re.MULTILINE)[1]
        assert holder[key] == int(stated), (key, value)
    assert file.services[0].values["step"] == 30
    found = file.resources[0].calendars[0]
    rules = [found.rules[name] for name in ("when_moved", "when_deleted", "when_unreadable")]
    assert rules == ["follow", "ask", "pending"]
    assert found.roles == {"is_busy_source": True, "is_destination": True}
