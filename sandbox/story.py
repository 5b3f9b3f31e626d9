"""The strip of steps above the phone: whoever runs a demonstration posts how it is coming along."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its texts in English and Chinese, and a detail that may be empty."""

    id: str
    state: StepState
    en: str
    zh: str
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """Return it for the control API."""
        return {"id": self.id, "state": self.state.value, "en": self.en, "zh": self.zh, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Link:
    """An address worth visiting, with its title."""

    title: str
    url: str

    def as_json(self) -> dict[str, object]:
        """Return it for the control API."""
        return {"title": self.title, "url": self.url}


class Story:
    """The steps in the order they were first told, and the links."""

    def __init__(self) -> None:
        """Begin empty."""
        self.steps: dict[str, Step] = {}
        self.links: list[Link] = []

    def tell(self, step: Step) -> None:
        """Add a step, or bring one up to date by its id."""
        self.steps[step.id] = step

    def as_json(self) -> dict[str, object]:
        """Return it for the control API."""
        return {
            "steps": [step.as_json() for step in self.steps.values()],
            "links": [link.as_json() for link in self.links],
        }
