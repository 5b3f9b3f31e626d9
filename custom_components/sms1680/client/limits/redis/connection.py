"""The connection to the server, through the package redis, which is imported here only, when it is first needed."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from ..server_address import ServerAddress

CONNECT_TIMEOUT = 0.5
ANSWER_TIMEOUT = 0.5

Value = str | float


class ScriptError(Exception):
    """A script had no answer. Its text has no key and no value."""


class MissingPackageError(ScriptError):
    """The package redis is not installed."""


class ServerConnection(Protocol):
    """Runs scripts on the server, in one thread."""

    def run(self, script: str, keys: Sequence[str], values: Sequence[Value]) -> list[Any]:
        """Return the answer of a script. Raise ScriptError."""

    def close(self) -> None:
        """Close the connection."""


Connect = Callable[[ServerAddress], ServerConnection]


class RedisConnection:
    """A connection of redis-py, opened again after any error."""

    def __init__(self, address: ServerAddress) -> None:
        try:
            redis, retry, backoff = map(import_module, ("redis", "redis.retry", "redis.backoff"))
        except ImportError:
            raise MissingPackageError("the Python package redis is not installed") from None
        self._errors = redis.exceptions
        self._worked = False
        tls: dict[str, Any] = {"ssl": True, **dict(address.tls_arguments)} if address.tls else {}
        self._client = redis.Redis(
            host=address.host,
            port=address.port,
            db=address.database,
            username=address.username,
            password=address.password,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=ANSWER_TIMEOUT,
            retry=retry.Retry(backoff.NoBackoff(), 0),
            protocol=2,
            **tls,
        )

    def run(self, script: str, keys: Sequence[str], values: Sequence[Value]) -> list[Any]:
        """Return the answer of a script. Raise ScriptError."""
        for is_again in (False, True):
            try:
                answer: list[Any] = self._client.eval(script, len(keys), *keys, *values)
            except (self._errors.RedisError, OSError, ValueError) as error:
                # The server closes idle connections. A script that runs twice changes nothing.
                if self._worked and not is_again and type(error) is self._errors.ConnectionError:
                    self._worked = False
                    continue
                self.close()
                raise ScriptError(_describe(error)) from None
            self._worked = True
            return answer
        raise AssertionError

    def close(self) -> None:
        """Close the connection."""
        self._worked = False
        self._client.connection_pool.disconnect()


def _describe(error: Exception) -> str:
    """Return the kind of an error. Its text could quote keys, values or the address."""
    code = str(error).partition(" ")[0]
    known = code in ("OOM", "READONLY", "LOADING", "BUSY", "NOAUTH", "NOPERM", "WRONGPASS", "CLUSTERDOWN", "MISCONF")
    return code if known else type(error).__name__
