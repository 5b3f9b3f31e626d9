"""What `scripts/demo` tells: each step in the terminal, on the phone page, and as JSON. What is told has occurred."""

from __future__ import annotations

import io
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Sequence

import aiohttp
from _demo_platform import Platform
from _demo_processes import DemoError


@dataclass
class Step:
    """A step of the story: its titles, the lines that tell what occurred, and the same as facts for programs."""

    id: str
    en: str
    zh: str
    detail: str = ""  # a few words beside it on the page
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        """Returns it for the transcript."""
        return {
            "id": self.id,
            "title": self.en,
            "held": self.held,
            "error": self.error,
            "seconds": round(self.seconds, 2),
            "lines": self.lines,
            "facts": self.facts,
        }


class Transcript:
    """The steps of one run."""

    def __init__(self, steps: Sequence[Step], *, to_stderr: bool) -> None:
        self.steps = {step.id: step for step in steps}
        self._stream = sys.stderr if to_stderr else sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="replace")  # a terminal may not know Chinese
        self._platform: Platform | None = None

    @property
    def held(self) -> bool:
        """Whether every step held."""
        return all(step.held for step in self.steps.values())

    def say(self, text: str = "") -> None:
        """Prints a line."""
        print(text, file=self._stream, flush=True)

    async def show_on(self, platform: Platform) -> None:
        """Shows the story on the phone page from now on."""
        self._platform = platform
        for step in self.steps.values():
            await self.show(step, "done" if step.held else "waiting")

    async def show(self, step: Step, state: str) -> None:
        """Brings a step on the page up to date."""
        if self._platform:
            told = {"id": step.id, "state": state, "en": step.en, "zh": step.zh, "detail": step.detail}
            with suppress(aiohttp.ClientError):  # without the page there is still the terminal
                await self._platform.post("story", **told)

    async def run(self, name: str, action: Callable[[Step], Awaitable[None]]) -> bool:
        """Runs a step and tells what came of it; returns whether it held."""
        step = self.steps[name]
        started = time.monotonic()
        await self.show(step, "running")
        try:
            await action(step)
            step.held = True
        except DemoError as error:
            step.error = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the transcript says which step it was
            step.error = f"{type(error).__name__}: {error}"
        step.seconds = time.monotonic() - started
        self.say(f"\n{step.en}  ({step.seconds:.1f} s)" if step.held else f"\n{step.en}  FAILED: {step.error}")
        for line in step.lines:
            self.say(f"    {line}")
        await self.show(step, "done" if step.held else "failed")
        return step.held
