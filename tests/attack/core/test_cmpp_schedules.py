"""Random schedules over CMPP: each message is sent once, in order, within the window, and gets its receipt.

The long form:

    SMS1680_SCHEDULES=5000 scripts/test attack tests/attack/core/test_cmpp_schedules.py -s --timeout=3600
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from tests.attack.core.schedules import Schedule, VirtualLoop

COUNT = int(os.environ.get("SMS1680_SCHEDULES", "100"))


async def run(seed: int, folder: Path, eager: bool) -> tuple[int, list[str]]:
    if eager:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    schedule = Schedule(seed, folder)
    return await schedule.run(), schedule.faults


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("eager", [False, True], ids=["tasks", "eager tasks"])
def test_no_schedule_loses_or_repeats_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture, eager: bool) -> None:
    caplog.set_level(logging.CRITICAL)
    found: dict[int, list[str]] = {}
    submits = 0
    for seed in range(COUNT):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            count, faults = runner.run(run(seed, tmp_path / str(seed), eager))
        submits += count
        if faults:
            found[seed] = faults
    print(f"{COUNT} schedules, {submits} SUBMITs")  # noqa: T201
    assert found == {}
    assert submits > COUNT
