"""How much of the integration its tests reach, file by file: measured where a whole lane of Home Assistant's runs.

As Home Assistant's quality scale wants it: all of the dialogs, and of any other file at least 95 of 100 lines. The core
(client/) is left to the core's own lanes. What runs in a Home Assistant that is a process of its own is not measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

INTEGRATION = "custom_components/sms1680"
DIALOGS = ("config_flow.py", "flows/options.py", "flows/recipient.py")
LEAST = 95.0


@dataclass(frozen=True)
class Coverage:
    """What a run has to write down, and where."""

    folder: Path

    @property
    def report(self) -> Path:
        """The file that pytest-cov leaves behind."""
        return self.folder / "coverage.json"

    @property
    def options(self) -> list[str]:
        """What pytest is told; what is left out stands in pyproject.toml."""
        return [f"--cov={INTEGRATION}", f"--cov-report=json:{self.report}"]

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of the run."""
        return {"COVERAGE_FILE": str(self.folder / "coverage")}


def judge(report: Path) -> tuple[str, list[str]]:
    """Returns the sum of what was reached, and each file that too little of was."""
    told = json.loads(report.read_text("utf-8"))
    lacking = []
    for name, file in sorted(told["files"].items()):
        path, covered = Path(name).relative_to(INTEGRATION).as_posix(), file["summary"]["percent_covered"]
        if covered < (100.0 if path in DIALOGS else LEAST):
            lines = ", ".join(map(str, file["missing_lines"]))
            lacking.append(f"{path}: {covered:.1f} %, not reached: {lines}")
    return f"{told['totals']['percent_covered']:.1f} % of the integration covered", lacking
