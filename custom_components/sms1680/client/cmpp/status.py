"""How the connection of a client stands, for people and for programs that show it."""

from __future__ import annotations

from dataclasses import dataclass

from ..outcomes import Language, Reason

__all__ = ["Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """connected: messages can go. reason: why not, None where nothing went wrong. retry_in: seconds until the next try.

    code: the Status of a refused login (document, 3.2). detail: what was wrong with the other side's octets.
    """

    connected: bool
    reason: Reason | None = None
    retry_in: float | None = None
    code: int | None = None
    detail: str | None = None

    def sentence(self, language: Language = "en") -> str:
        """Return what is the matter and what to do, in one of the two languages."""
        if self.connected:
            return "已连接平台。" if language == "zh" else "Connected to the platform."
        if self.reason is None:
            return "未连接。" if language == "zh" else "Not connected."
        return self.reason.sentence(language)
