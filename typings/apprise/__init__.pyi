# The parts of Apprise that this project uses, as in all versions since 1.9.0; Apprise's own annotations differ.
from collections.abc import Iterator
from typing import Any

from .asset import AppriseAsset as AppriseAsset
from .url import URLBase

class NotifyFormat:
    TEXT: str
    HTML: str
    MARKDOWN: str

class OverflowMode:
    UPSTREAM: str
    TRUNCATE: str
    SPLIT: str

class NotifyBase(URLBase):
    title_maxlen: int
    overflow_mode: str
    body_maxlen: int
    notify_format: str
    def __init__(self, **kwargs: Any) -> None: ...
    def notify(self, *args: Any, **kwargs: Any) -> bool: ...
    async def async_notify(self, *args: Any, **kwargs: Any) -> bool: ...
    def _build_send_calls(self, *args: Any, **kwargs: Any) -> Iterator[dict[str, Any]]: ...
    def send(self, body: str, title: str = ..., **kwargs: Any) -> bool: ...
    def recall(self, key: object, default: object = ..., per_message: bool = ...) -> Any: ...
    def remember(self, key: object, value: object, per_message: bool = ...) -> None: ...
    def is_delivered(self, key: object, per_message: bool = ...) -> bool: ...
    def mark_delivered(self, key: object, per_message: bool = ...) -> None: ...
