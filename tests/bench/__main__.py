"""`make bench`: measures speed and size, prints a table and writes bench.json. A measurement, not a test: a figure beyond its limit is marked, and
only a section that could not be measured makes the exit status 1.

Each section is a module here with `run() -> {name: figure}`, and runs in a process of its own. A figure is {"value", "unit", "limit"} or
{"median_ms", "limit_ms"}; "at_least" turns the limit around; {"failed": reason} says why there is none.
`python -m tests.bench engine http --scale 0.2` measures some sections, on a smaller scale.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from portal.clock import now_utc

SECTIONS = ("engine", "http", "publish", "pull", "google", "reminders", "waitlist")
TIME_LIMIT = 1800
_RUN = """
import inspect, json, sys
from importlib import import_module
run = import_module(f"tests.bench.{sys.argv[1]}").run
takes_scale = "scale" in inspect.signature(run).parameters
print("\\n" + json.dumps(run(scale=float(sys.argv[2])) if takes_scale else run()))
"""


class Row(NamedTuple):
    name: str
    measured: str
    limit: str
    verdict: str


def main() -> int:
    """Measure, print, write; the exit status."""
    options = _options()
    sections = {name: _measure(name, options.scale) for name in options.sections or SECTIONS}
    rows = [_row(name, figure) for figures in sections.values() for name, figure in figures.items()]
    _print_table(rows)
    for name, figure in [pair for figures in sections.values() for pair in figures.items()]:
        if "failed" in figure:
            print(f"{name}: {figure['failed']}")
    report = {"machine": _machine(), "measured_at": now_utc().isoformat(), "scale": options.scale, "sections": sections}
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\n{json.dumps(sections)}\n\nWritten to {options.output}.")
    return 1 if any(row.verdict == "FAILED" for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure speed and size.")
    parser.add_argument(
        "sections", nargs="*", choices=[*SECTIONS, []], metavar="section", help=f"one of {', '.join(SECTIONS)}"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="smaller than 1 measures with less data")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    return parser.parse_args()


def _measure(section: str, scale: float) -> dict[str, dict[str, Any]]:
    """The figures of one section, or one that says why there are none."""
    print(f"Measuring {section} …", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, section, str(scale)], capture_output=True, text=True,
            timeout=TIME_LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {section: {"failed": f"not done after {TIME_LIMIT} s"}}
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {section: {"failed": reason[-1]}}
    print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    figures: dict[str, dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _row(name: str, figure: dict[str, Any]) -> Row:
    if "failed" in figure:
        return Row(name, "-", "-", "FAILED")
    value, limit, unit = _read(figure)
    if limit is None:
        return Row(name, f"{value:g} {unit}", "-", "")
    is_met = value >= limit if figure.get("at_least") else value <= limit
    sign = "≥" if figure.get("at_least") else "≤"
    return Row(name, f"{value:g} {unit}", f"{sign} {limit:g}", "ok" if is_met else "BEYOND")


def _read(figure: dict[str, Any]) -> tuple[float, float | None, str]:
    """Value, limit and unit, in whichever of the two forms they were given."""
    if "value" in figure:
        return figure["value"], figure.get("limit"), figure.get("unit", "")
    unit = next(key.removeprefix("limit_") for key in figure if key.startswith("limit_"))
    value = figure[f"median_{unit}"] if f"median_{unit}" in figure else figure[unit]
    return value, figure[f"limit_{unit}"], unit


def _print_table(rows: list[Row]) -> None:
    heads = Row("what", "measured", "limit", "")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(4)]
    for row in [heads, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
