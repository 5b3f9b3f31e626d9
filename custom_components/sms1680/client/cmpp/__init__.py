"""CMPP 2.0: one outgoing connection that sends messages and receives replies and delivery reports.

`decode` and `encode` convert octets and PDUs, `Session` holds the rules of a connection without a socket or a clock,
and `CMPPClient` is the asyncio client (docs/protocol.md, section 3, and docs/cmpp.md).
"""

from .canceller import CancelOutcome
from .client import CMPPClient
from .session import Session, SessionSettings
from .status import Status
from .wire.codec import Decoder, decode, encode
from .wire.errors import CodecError
from .wire.pdus import PDU

__all__ = [
    "PDU",
    "CMPPClient",
    "CancelOutcome",
    "CodecError",
    "Decoder",
    "Session",
    "SessionSettings",
    "Status",
    "decode",
    "encode",
]
