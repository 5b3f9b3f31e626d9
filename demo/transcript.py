"""The transcript of the demo: each step in the terminal, on the phone page and as JSON."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from .platform import Platform
from .processes import DemoError


@dataclass
class Step:
    """A step: its titles, the lines that describe what happened, and the same as facts for programs."""

    id: str
    en: str
    zh: str
    detail: str = ""  # shown next to the title on the page
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the step for the JSON transcript."""
        names = ("id", "held", "error", "lines", "facts")
        return {**{name: getattr(self, name) for name in names}, "title": self.en, "seconds": round(self.seconds, 2)}


class Transcript:
    """The steps of one run."""

    def __init__(self, steps: Sequence[Step], *, to_stderr: bool) -> None:
        self.steps = {step.id: step for step in steps}
        self._stream = sys.stderr if to_stderr else sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="replace")  # some terminals can't print Chinese
        self._platform: Platform | None = None

    @property
    def held(self) -> bool:
        """Whether every step passed."""
        return all(step.held for step in self.steps.values())

    def say(self, text: str = "") -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)

    async def show_on(self, platform: Platform) -> None:
        """Show the story on the phone page from now on."""
        self._platform = platform
        for step in self.steps.values():
            await self.show(step, "done" if step.held else "waiting")

    async def show(self, step: Step, state: str) -> None:
        """Update a step on the page."""
        if self._platform:
            shown = {"id": step.id, "state": state, "en": step.en, "zh": step.zh, "detail": step.detail}
            with suppress(aiohttp.ClientError):  # the terminal has it anyway
                await self._platform.post("story", **shown)

    async def run(self, name: str, action: Callable[[Step], Awaitable[None]]) -> bool:
        """Run a step, print its outcome and return whether it passed."""
        step = self.steps[name]
        started = time.monotonic()
        await self.show(step, "running")
        try:
            await action(step)
            step.held = True
        except DemoError as error:
            step.error = str(error)
        except Exception as error:  # noqa: BLE001 - the transcript names the step and the error
            step.error = f"{type(error).__name__}: {error}"
        step.seconds = time.monotonic() - started
        self.say(f"\n{step.en}  ({step.seconds:.1f} s)" if step.held else f"\n{step.en}  FAILED: {step.error}")
        for line in step.lines:
            self.say(f"    {line}")
        await self.show(step, "done" if step.held else "failed")
        return step.held
