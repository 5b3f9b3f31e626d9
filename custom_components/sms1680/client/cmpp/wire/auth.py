"""The authenticators of CONNECT and CONNECT_RESP (CMPP 2.0, 7.4.1). MD5 is the standard's choice, not ours."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from .pdus import Connect

__all__ = ["SP_ID_LENGTH", "authenticator_ismg", "connect_request", "is_authentic"]

SP_ID_LENGTH: Final = 6
"""Octets of Source_Addr; an SP_Id of fewer digits is short."""


def connect_request(sequence_id: int, sp_id: str, secret: str, timestamp: str, *, padded: bool = False) -> Connect:
    """Return the CONNECT of an SP. timestamp: ten digits `MMDDHHMMSS`; hashed as text, sent as a number.

    A short SP_Id is hashed as it is, as four of five implementations do, or `padded` with NUL to six octets (trap 13).
    """
    name = sp_id.encode().ljust(SP_ID_LENGTH if padded else 0, b"\0")
    digest = hashlib.md5(name + bytes(9) + secret.encode() + timestamp.encode(), usedforsecurity=False).digest()
    return Connect(sequence_id=sequence_id, source_addr=sp_id, authenticator_source=digest, timestamp=int(timestamp))


def authenticator_ismg(status: int, authenticator_source: bytes, secret: str) -> bytes:
    """Return what a gateway that knows the secret answers."""
    return hashlib.md5(bytes((status,)) + authenticator_source + secret.encode(), usedforsecurity=False).digest()


def is_authentic(received: bytes, status: int, authenticator_source: bytes, secret: str) -> bool:
    """Tell whether the gateway knows the secret, in constant time."""
    return hmac.compare_digest(received, authenticator_ismg(status, authenticator_source, secret))
