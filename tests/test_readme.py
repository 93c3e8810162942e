"""README says what is so: every setting, command, target, package and file that it names is there, and none is forgotten."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from portal.commands.main import COMMANDS
from portal.config import NAMES, SECRETS, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "tests" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def section(title):
    return re.search(rf"^##+ {title}\n(.*?)(?=^##+ |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def test_every_setting_has_its_row():
    rows = re.findall(r"^\| (`.+?) \|", section("Settings"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted([*NAMES, "LOCKSTEP_DATA"])
    secret = [name for row in rows for name in re.findall(r"`(\w+)` ·", row)]
    assert sorted(secret) == sorted(SECRETS)


def test_the_defaults_are_those_of_the_code():
    defaults = dict(re.findall(r"^\| `(\w+)`(?: ·)? \| `([^`]+)` \|", section("Settings"), re.MULTILINE))
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
    rows = re.findall(r"^\| ([a-z0-9, -]+) \| ", section("Dependencies"), re.MULTILINE)
    assert {one for row in rows for one in row.split(", ")} - {"package"} == wanted
    rest = section("Dependencies").partition("For development alone:")[2]
    assert not [one for one in map(name, project["optional-dependencies"]["dev"]) if one not in rest]


def name(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


def test_the_map_shows_every_room_and_nothing_else():
    chart = re.search(r"```\n(worker\.py.*?)```", README, re.DOTALL)[1]
    shown, folder = set(), ""
    for line in chart.splitlines():
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (page.parent / target).exists(), target
    for path in re.findall(r"`((?:portal|providers|tests|templates|static|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


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
