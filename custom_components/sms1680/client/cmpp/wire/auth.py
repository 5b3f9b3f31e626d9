"""The authenticators of CONNECT and CONNECT_RESP (docs/cmpp.md, section 2). The standard prescribes MD5."""

import hashlib
import hmac
from typing import Final

from .pdus import Connect

SP_ID_LENGTH: Final = 6
"""Octets of Source_Addr; an SP_Id with fewer digits is short."""


def connect_request(sequence_id: int, sp_id: str, secret: str, timestamp: str, *, padded: bool = False) -> Connect:
    """Return the CONNECT of an SP. timestamp: ten digits `MMDDHHMMSS`, hashed as text and sent as a number.

    A short SP_Id is hashed without padding, as in four of five implementations, or `padded` with NUL to six octets
    (docs/cmpp.md, trap 13).
    """
    name = sp_id.encode().ljust(SP_ID_LENGTH if padded else 0, b"\0")
    digest = hashlib.md5(name + bytes(9) + secret.encode() + timestamp.encode(), usedforsecurity=False).digest()
    return Connect(sequence_id=sequence_id, source_addr=sp_id, authenticator_source=digest, timestamp=int(timestamp))


def authenticator_ismg(status: int, authenticator_source: bytes, secret: str) -> bytes:
    """Return the authenticator of a gateway that knows the secret."""
    return hashlib.md5(bytes((status,)) + authenticator_source + secret.encode(), usedforsecurity=False).digest()


def is_authentic(received: bytes, status: int, authenticator_source: bytes, secret: str) -> bool:
    """Return whether the gateway's authenticator proves that it knows the secret. Compares in constant time."""
    return hmac.compare_digest(received, authenticator_ismg(status, authenticator_source, secret))
