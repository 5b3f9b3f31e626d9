"""The list of steps above the phone. A demonstration posts its progress here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """The state of a step."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its text in English and Chinese, and optional details."""

    id: str
    state: StepState
    en: str
    zh: str
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the step for the control API."""
        return {"id": self.id, "state": self.state.value, "en": self.en, "zh": self.zh, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its title."""

    title: str
    url: str

    def as_json(self) -> dict[str, object]:
        """Return the link for the control API."""
        return {"title": self.title, "url": self.url}


class Story:
    """The steps, in the order of their first update, and the links."""

    def __init__(self) -> None:
        """Start empty."""
        self.steps: dict[str, Step] = {}
        self.links: list[Link] = []

    def update(self, step: Step) -> None:
        """Add a step, or replace the one with the same id."""
        self.steps[step.id] = step

    def as_json(self) -> dict[str, object]:
        """Return the steps and links for the control API."""
        return {
            "steps": [step.as_json() for step in self.steps.values()],
            "links": [link.as_json() for link in self.links],
        }
