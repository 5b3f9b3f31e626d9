import logging
from typing import Any, ClassVar

from .asset import AppriseAsset

class PrivacyMode:
    Secret: str
    Outer: str
    Tail: str

class URLBase:
    asset: AppriseAsset
    logger: logging.Logger
    service_name: str | None
    service_url: str | None
    setup_url: str | None
    protocol: str | None
    secure_protocol: str | None
    category: str
    request_rate_per_sec: float
    socket_connect_timeout: float
    socket_read_timeout: float
    verify_certificate: bool
    templates: tuple[str, ...]
    template_tokens: ClassVar[dict[str, Any]]
    template_args: ClassVar[dict[str, Any]]
    user: str | None
    password: str | None
    @property
    def url_identifier(self) -> tuple[str | None, ...]: ...
    def url(self, privacy: bool = ..., *args: Any, **kwargs: Any) -> str: ...
    def url_parameters(self, *args: Any, **kwargs: Any) -> dict[str, Any]: ...
    @staticmethod
    def parse_url(url: object, verify_host: bool = ...) -> dict[str, Any] | None: ...
    @staticmethod
    def pprint(content: str | None, privacy: bool = ..., mode: str = ..., *, safe: str = ...) -> str: ...
    @staticmethod
    def quote(content: str | None, safe: str = ...) -> str: ...
    @staticmethod
    def urlencode(query: dict[str, Any]) -> str: ...
