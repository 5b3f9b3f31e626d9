"""CMPP 2.0, the platform's own recommendation: one outgoing connection that sends, and brings replies and reports back.

`decode` and `encode` turn octets into PDUs and back, `Session` keeps the rules of a connection without a socket or a
clock, `CMPPClient` carries it with asyncio (chapter 3 of the platform's document, and the standard of China Mobile).
"""

from __future__ import annotations

from .client import CMPPClient
from .session import Session, SessionSettings
from .status import Status
from .wire.codec import Decoder, decode, encode
from .wire.errors import CodecError
from .wire.pdus import PDU

__all__ = ["PDU", "CMPPClient", "CodecError", "Decoder", "Session", "SessionSettings", "Status", "decode", "encode"]
