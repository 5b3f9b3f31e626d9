"""Enforce the coverage of each file of the integration: `coverage_floor.py REPORT NOTE`.

The floor follows Home Assistant's quality scale: 100 % of the dialogs and 95 % of every other file. The lanes of the
core test client/. Code in a Home Assistant that runs as its own process is not measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

INTEGRATION = "custom_components/sms1680"
DIALOGS = ("config_flow.py", "flows/options.py", "flows/recipient.py")
FLOOR = 95.0


def check(report: Path) -> tuple[str, list[str]]:
    """Return a summary of pytest-cov's report, and a line for each file below its floor."""
    measured = json.loads(report.read_text("utf-8"))
    below = []
    for name, file in sorted(measured["files"].items()):
        path, covered = Path(name).relative_to(INTEGRATION).as_posix(), file["summary"]["percent_covered"]
        if covered < (100.0 if path in DIALOGS else FLOOR):
            lines = ", ".join(map(str, file["missing_lines"]))
            below.append(f"{path}: {covered:.1f} %, lines not covered: {lines}")
    summary = f"{measured['totals']['percent_covered']:.1f} % of the integration covered"
    return summary + (f", {len(below)} files below their floor" if below else ""), below


if __name__ == "__main__":
    summary, below = check(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(summary, "utf-8")
    print("\n".join([summary, *below]))
    sys.exit(1 if below else 0)
