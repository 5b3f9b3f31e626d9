"""The status of a CMPP connection."""

from dataclasses import dataclass

from ..outcomes import Language, Reason


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a connection.

    connected: logged in. reason: the cause of a failure, None if there was none. retry_in: seconds until the next
    attempt. code: the Status of a refused login (docs/protocol.md, section 3.2). detail: the error in received octets.
    """

    connected: bool
    reason: Reason | None = None
    retry_in: float | None = None
    code: int | None = None
    detail: str | None = None

    def sentence(self, language: Language = "en") -> str:
        """Return the status and the remedy in the given language."""
        if self.reason is not None and not self.connected:
            return self.reason.sentence(language)
        en, zh = ("Connected to the platform.", "已连接平台。") if self.connected else ("Not connected.", "未连接。")
        return zh if language == "zh" else en
