"""The PDUs of CMPP 2.0 that an SP sends or receives, one frozen class per command.

The attributes have the field names of the standard in lower case. Octet strings are ``str`` without padding, binary
fields are ``bytes``, and a Msg_Id is an unsigned 64-bit ``int``. Lengths of other fields (``msg_length``,
``dest_usr_tl``) are properties.

These classes check nothing; the codec checks the values when it encodes them (CMPP 2.0, chapter 7).
"""

from dataclasses import asdict, dataclass
from typing import ClassVar, Final, TypeAlias

from .msgid import MsgId
from .results import SUBMIT_TEXTS

RESPONSE: Final = 0x80000000
"""The bit that a response's Command_Id adds to that of its request."""

VERSION: Final = 0x20
_NO_AUTHENTICATOR = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """CMPP_CONNECT: the SP logs in (7.4.1.1). ``repr`` hides the authenticator."""

    COMMAND_ID: ClassVar[int] = 0x1

    sequence_id: int
    source_addr: str
    authenticator_source: bytes
    version: int = VERSION
    timestamp: int

    def __repr__(self) -> str:
        return f"Connect(sequence_id={self.sequence_id}, source_addr={self.source_addr!r}, version={self.version:#x})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectResp:
    """CMPP_CONNECT_RESP: the login is accepted with status 0 (7.4.1.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x1

    sequence_id: int
    status: int = 0
    authenticator_ismg: bytes = _NO_AUTHENTICATOR
    version: int = VERSION

    def __repr__(self) -> str:
        return f"ConnectResp(sequence_id={self.sequence_id}, status={self.status}, version={self.version:#x})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """CMPP_TERMINATE: the client or the gateway ends the session (7.4.2.1)."""

    COMMAND_ID: ClassVar[int] = 0x2

    sequence_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminateResp:
    """CMPP_TERMINATE_RESP (7.4.2.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x2

    sequence_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """CMPP_SUBMIT: one segment to up to 99 destinations (7.4.3.1).

    By default the SP pays for the message and requests delivery reports. ``valid_time`` and ``at_time`` are SMPP 3.3
    absolute times of 16 characters; empty means the gateway's default and now. ``repr`` hides destinations and content.
    """

    COMMAND_ID: ClassVar[int] = 0x4

    sequence_id: int
    msg_id: int = 0
    pk_total: int = 1
    pk_number: int = 1
    registered_delivery: int = 1
    msg_level: int = 0
    service_id: str = ""
    fee_usertype: int = 2
    fee_terminal_id: str = ""
    tp_pid: int = 0
    tp_udhi: int = 0
    msg_fmt: int = 0
    msg_src: str
    fee_type: str = "01"
    fee_code: str = "000000"
    valid_time: str = ""
    at_time: str = ""
    src_id: str
    dest_terminal_id: tuple[str, ...]
    msg_content: bytes
    reserve: str = ""

    @property
    def dest_usr_tl(self) -> int:
        """Number of destinations."""
        return len(self.dest_terminal_id)

    @property
    def udh(self) -> bytes:
        """The user data header of the content with its length octet, or empty."""
        return self.msg_content[: self.msg_content[0] + 1] if self.tp_udhi & 1 and self.msg_content else b""

    @property
    def msg_length(self) -> int:
        """Octets of the content, a user data header included."""
        return len(self.msg_content)

    def __repr__(self) -> str:
        return (
            f"Submit(sequence_id={self.sequence_id}, segment {self.pk_number} of {self.pk_total}, "
            f"{self.dest_usr_tl} destinations, msg_fmt={self.msg_fmt}, {self.msg_length} octets)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitResp:
    """CMPP_SUBMIT_RESP: the gateway's id of the segment, or the reason for a refusal (7.4.3.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x4

    sequence_id: int
    msg_id: int = 0
    result: int = 0

    @property
    def seed_meaning(self) -> str:
        """The wording of the platform's document for this result (docs/protocol.md, section 3), or empty."""
        return SUBMIT_TEXTS[self.result] if self.result < len(SUBMIT_TEXTS) else ""

    @property
    def msg_id_parts(self) -> dict[str, int]:
        """The parts of the Msg_Id according to the standard, for people to read; gateways fill it in different ways."""
        return asdict(MsgId.of(self.msg_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """CMPP_DELIVER: an uplink message, or with ``registered_delivery`` 1 a delivery report (7.4.5.1).

    ``repr`` hides the sender and the content.
    """

    COMMAND_ID: ClassVar[int] = 0x5

    sequence_id: int
    msg_id: int
    dest_id: str
    service_id: str = ""
    tp_pid: int = 0
    tp_udhi: int = 0
    msg_fmt: int = 0
    src_terminal_id: str
    registered_delivery: int = 0
    msg_content: bytes
    reserve: str = ""

    @property
    def msg_length(self) -> int:
        """Octets of the content, a user data header included."""
        return len(self.msg_content)

    def __repr__(self) -> str:
        kind = "report" if self.registered_delivery else "message"
        return f"Deliver(sequence_id={self.sequence_id}, {kind}, msg_fmt={self.msg_fmt}, {self.msg_length} octets)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverResp:
    """CMPP_DELIVER_RESP: ``msg_id`` is the DELIVER's own, not the one in a report (7.4.5.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x5

    sequence_id: int
    msg_id: int
    result: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """CMPP_QUERY: the statistics of a day, ``time`` as YYYYMMDD; type 0 all, 1 one Service_Id (7.4.4.1)."""

    COMMAND_ID: ClassVar[int] = 0x6

    sequence_id: int
    time: str
    query_type: int = 0
    query_code: str = ""
    reserve: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResp:
    """CMPP_QUERY_RESP: messages and users from the SP, and those sent, waiting and failed, MT and MO (7.4.4.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x6

    sequence_id: int
    time: str
    query_type: int = 0
    query_code: str = ""
    mt_tlmsg: int = 0
    mt_tlusr: int = 0
    mt_scs: int = 0
    mt_wt: int = 0
    mt_fl: int = 0
    mo_scs: int = 0
    mo_wt: int = 0
    mo_fl: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """CMPP_CANCEL: cancel a message that the gateway has not sent yet (7.4.6.1)."""

    COMMAND_ID: ClassVar[int] = 0x7

    sequence_id: int
    msg_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResp:
    """CMPP_CANCEL_RESP: 0 cancelled, 1 not (7.4.6.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x7

    sequence_id: int
    success_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveTest:
    """CMPP_ACTIVE_TEST: checks that the peer responds (7.4.7.1)."""

    COMMAND_ID: ClassVar[int] = 0x8

    sequence_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveTestResp:
    """CMPP_ACTIVE_TEST_RESP (7.4.7.2)."""

    COMMAND_ID: ClassVar[int] = RESPONSE | 0x8

    sequence_id: int
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A PDU with valid framing and an unknown command."""

    sequence_id: int
    command_id: int
    body: bytes

    def __repr__(self) -> str:
        return f"Unknown(sequence_id={self.sequence_id}, command_id={self.command_id:#x}, {len(self.body)} octets)"


Request: TypeAlias = Connect | Terminate | Submit | Deliver | Query | Cancel | ActiveTest
Response: TypeAlias = ConnectResp | TerminateResp | SubmitResp | DeliverResp | QueryResp | CancelResp | ActiveTestResp
PDU: TypeAlias = Request | Response | Unknown
