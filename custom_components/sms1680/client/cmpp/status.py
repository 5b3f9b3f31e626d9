"""The status of a CMPP connection."""

from dataclasses import dataclass

from ..outcomes import Language, Reason
from .proxy import ProxyProblem

_ENDED: dict[Language, str] = {
    "en": "The connection to the platform ended. The client connects again.",
    "zh": "与平台的连接已断开，正在重新连接。",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a connection.

    connected: logged in. reason: the cause of a failure; None if there was none, or if this program is at fault.
    retry_in: seconds until the next attempt. code: the Status of a refused login (docs/protocol.md, section 3.2).
    detail: the error in the received octets, or of the program. proxy: why the proxy opened no tunnel.
    was_connected: a connection that was logged in has just ended.
    """

    connected: bool
    reason: Reason | None = None
    retry_in: float | None = None
    code: int | None = None
    detail: str | None = None
    proxy: ProxyProblem | None = None
    was_connected: bool = False

    def sentence(self, language: Language = "en") -> str:
        """Return the status and the remedy in the given language."""
        if self.proxy is not None and not self.connected:
            return self.proxy.sentence(language)
        if self.reason is Reason.NO_CONNECTION and self.was_connected:
            return _ENDED[language]
        if self.reason is not None and not self.connected:
            return self.reason.sentence(language)
        en, zh = ("Connected to the platform.", "已连接平台。") if self.connected else ("Not connected.", "未连接。")
        if self.detail is not None and not self.connected:
            en = f"Not connected because of a fault of this program ({self.detail}), not of the network. Report it."
            zh = f"本程序出错（{self.detail}），与网络无关，因此未连接。请反馈此问题。"
        return zh if language == "zh" else en
