"""What others give us: actions pinned by their commit, ranges with two ends, and as few rights as possible."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # (v\d+\.\d+\.\d+|main|master)")


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_their_commit(path: Path) -> None:
    lines = [line.strip().removeprefix("- ") for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_have_no_more_rights_than_they_need(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # A title or a branch name from a stranger must not become a part of a script.
        assert "${{" not in step.get("run", "")
    assert "concurrency" in workflow
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []
    assert workflow.get(True, {}) != "pull_request_target"


def test_tools_of_the_workflows_have_a_version() -> None:
    runs = [step["run"] for path in WORKFLOWS for step in steps(yaml.safe_load(path.read_text())) if "run" in step]
    installed = [run for run in runs if "pip install" in run and "audited" not in run]
    assert installed
    assert [run for run in installed if not re.search(r'"[\w-]+==[\d.]+"', run)] == []


def test_releases_are_attested_and_dependencies_updated() -> None:
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    assert "actions/attest-build-provenance@" in release
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip"}
