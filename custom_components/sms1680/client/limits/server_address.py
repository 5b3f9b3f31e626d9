"""The address of the server that several machines share: `redis://` or, over TLS, `rediss://`."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import InvalidSettingError
from ..masking import MASK

_SCHEMES = ("redis", "rediss")
_PORT = 6379
# The settings of TLS that a private certificate needs. Every other argument could change what a call waits for.
_TLS_ARGUMENTS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of a server, with its user name and password. Its text has neither."""

    host: str
    port: int = _PORT
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_arguments: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the address without its user name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"


def is_address(state: str | None) -> bool:
    """Return whether a setting means a server, not a folder."""
    return state is not None and state.strip().partition("://")[0].lower() in _SCHEMES


def mask_address(state: str) -> str:
    """Return an address with its password masked, and a folder unchanged."""
    if not is_address(state):
        return state
    scheme, _, rest = state.strip().partition("://")
    userinfo, at, location = rest.rpartition("@")
    if not at:
        return f"{scheme}://{location}"
    user, _, password = userinfo.partition(":")
    return f"{scheme}://{user}{f':{MASK}' if password else ''}@{location}"


def read_address(state: str) -> ServerAddress:
    """Return the address that a setting means. Raise InvalidSettingError, without the password in its text."""
    try:
        parts = urlsplit(state.strip())
        port = parts.port or _PORT
        database = int(parts.path.strip("/") or 0)
        arguments = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _invalid() from None
    tls = parts.scheme.lower() == "rediss"
    known = all(tls and name in _TLS_ARGUMENTS for name, _ in arguments)
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname or database < 0 or not known or parts.fragment:
        raise _invalid()
    username, password = (unquote(value) if value else None for value in (parts.username, parts.password))
    return ServerAddress(parts.hostname, port, database, username, password, tls, tuple(arguments))


def _invalid() -> InvalidSettingError:
    return InvalidSettingError(
        "state must be an address such as redis://user:password@host:6379/0 or rediss://host/0; "
        "percent-encode special characters in the user name and the password",
        "`state` 须为 `redis://用户名:密码@主机:6379/0` 或 `rediss://主机/0` 形式的地址；"
        "用户名和密码中的特殊字符须经百分号编码",
    )
