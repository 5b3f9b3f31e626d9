"""Converts octets to PDUs and back: `decode`, `encode`, and `Decoder` for a stream (CMPP 2.0, chapter 7).

The codec writes strictly and reads leniently: it accepts the known harmless errors of other implementations, and never
makes them (docs/cmpp.md, traps 8, 9, 16 to 22 and 24). An invalid PDU raises `CodecError`, which names the field and
its octet; an unknown command becomes `Unknown`.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from .errors import CodecError
from .layout import HEADER, U8, U32, U64, Field, Layout, Octets, Text, decode_error, mutable_twin
from .messages import read_deliver, read_submit, write_deliver, write_submit
from .pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    Deliver,
    DeliverResp,
    Query,
    QueryResp,
    Request,
    Response,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
    Unknown,
)

MAX_LENGTH: Final = 4096
"""Maximum octets of an inbound PDU. The longest outbound one has 2377."""

_COUNTERS = ("mt_tlmsg", "mt_tlusr", "mt_scs", "mt_wt", "mt_fl", "mo_scs", "mo_wt", "mo_fl")
_QUERY = {"time": Text(8), "query_type": U8, "query_code": Text(10)}
_ANSWER = {"msg_id": U64, "result": U8}

_FIXED: dict[type[Request | Response], dict[str, Field]] = {
    Connect: {"source_addr": Text(6), "authenticator_source": Octets(16), "version": U8, "timestamp": U32},
    ConnectResp: {"status": U8, "authenticator_ismg": Octets(16), "version": U8},
    Terminate: {},
    TerminateResp: {},
    SubmitResp: _ANSWER,
    DeliverResp: _ANSWER,
    Query: {**_QUERY, "reserve": Text(8)},
    QueryResp: {**_QUERY, **dict.fromkeys(_COUNTERS, U32)},
    Cancel: {"msg_id": U64},
    CancelResp: {"success_id": U8},
    ActiveTest: {},
    ActiveTestResp: {"reserved": U8},
}
"""The fields after the header of each PDU with a fixed length."""

_SIZE_IN_3_0 = {ConnectResp.COMMAND_ID: 33, SubmitResp.COMMAND_ID: 24, DeliverResp.COMMAND_ID: 24}

Reader = Callable[[bytes], PDU]
Writer = Callable[[Any], bytes]


def decode(data: bytes) -> PDU:
    """Return the PDU in these octets, which must be exactly one PDU.

    Raises CodecError for any other octets, and no other exception.
    """
    if data.__class__ is not bytes:
        data = bytes(data)
    reader = _READERS.get(data[:8])
    if reader is None:
        if int.from_bytes(data[:4], "big") != len(data) or not HEADER <= len(data) <= MAX_LENGTH:
            raise _length_error(data)
        reader = _VARIABLE.get(data[4:8], _read_other)
    try:
        return reader(data)
    except struct.error:
        raise _length_error(data) from None


def encode(pdu: PDU) -> bytes:
    """Return the octets of a PDU. Raises CodecError for a value that does not fit."""
    writer = _WRITERS.get(pdu.__class__)
    if writer is None:
        raise CodecError("command_id", 4, f"{type(pdu).__name__} is not a PDU")
    return writer(pdu)


class Decoder:
    """Splits the octets of a connection into PDUs.

    Between two calls it buffers less than one PDU of `max_length` octets.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        """Reject PDUs longer than `max_length` octets."""
        self._max_length = max_length
        self._rest = b""
        self._broken = False

    @property
    def pending(self) -> int:
        """Number of buffered octets of an incomplete PDU."""
        return len(self._rest)

    def receive(self, data: bytes) -> list[PDU | CodecError]:
        """Return the PDUs that these octets complete, in order, with a `CodecError` for each invalid PDU.

        After a `fatal` error (an impossible Total_Length) the decoder ignores all further octets: close the connection.
        """
        found: list[PDU | CodecError] = []
        if self._broken:
            return found
        stream = self._rest + data
        begin, end = 0, len(stream)
        while end - begin >= HEADER:
            prefix = stream[begin : begin + 8]
            reader = _READERS.get(prefix)
            if reader is not None:
                length = prefix[3]
            else:
                length = int.from_bytes(prefix[:4], "big")
                if not HEADER <= length <= self._max_length:
                    problem = f"{length}, must be {HEADER} to {self._max_length}"
                    found.append(CodecError("total_length", 0, problem, fatal=True))
                    self._broken, begin = True, end
                    break
                reader = _VARIABLE.get(prefix[4:], _read_other)
            if end - begin < length:
                break
            try:
                found.append(reader(stream[begin : begin + length]))
            except CodecError as error:
                found.append(error)
            begin += length
        self._rest = stream[begin:]
        return found


def _length_error(data: bytes) -> CodecError:
    problem = f"must be {len(data)}, the number of octets, and {HEADER} to {MAX_LENGTH}"
    return CodecError("total_length", 0, problem, fatal=True)


def _read_other(data: bytes) -> PDU:
    """Return an `Unknown` for an unknown command. Raises CodecError for a known command with a wrong length."""
    command_id = int.from_bytes(data[4:8], "big")
    size = _SIZES.get(command_id)
    if size is None:
        return Unknown(sequence_id=int.from_bytes(data[8:HEADER], "big"), command_id=command_id, body=data[HEADER:])
    problem = f"{len(data)} instead of {size}"
    if len(data) == _SIZE_IN_3_0.get(command_id):
        problem += "; the peer speaks CMPP 3.0, not 2.0"
    raise decode_error(data, "total_length", 0, problem)


def _write_unknown(pdu: Unknown) -> bytes:
    total = HEADER + len(pdu.body)
    if total > MAX_LENGTH:
        raise CodecError("total_length", 0, f"{total}, maximum {MAX_LENGTH}", command_id=pdu.command_id)
    return Layout(pdu.command_id).write(total, pdu) + pdu.body


def _fixed_reader(layout: Layout, cls: type[Request | Response]) -> Reader:
    twin, unpack = mutable_twin(cls), layout.read if layout.texts else layout.unpacker.unpack

    def read(data: bytes) -> PDU:
        made = twin(*unpack(data))
        made.__class__ = cls
        return made

    return read


def _answer_reader(layout: Layout, cls: type[Request | Response]) -> Reader:
    """Return a reader without a constructor call, for the response to each message."""
    twin, unpack, new = mutable_twin(cls), layout.unpacker.unpack, object.__new__

    def read(data: bytes) -> PDU:
        made: Any = new(twin)  # type: ignore[arg-type]
        made.sequence_id, made.msg_id, made.result = unpack(data)
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    return read


def _fixed_writer(layout: Layout) -> Writer:
    return lambda pdu: layout.write(layout.size, pdu)


def _answer_writer(layout: Layout) -> Writer:
    """Return a writer that packs the response to each message directly; the layout finds a faulty field."""
    pack, size, command_id = layout.packer.pack, layout.size, layout.command_id

    def write(pdu: SubmitResp | DeliverResp) -> bytes:
        try:
            return pack(size, command_id, pdu.sequence_id, pdu.msg_id, pdu.result)
        except struct.error:
            return layout.write(size, pdu)

    return write


_READERS: dict[bytes, Reader] = {}
"""By Total_Length and Command_Id. Each raises struct.error for a different length."""
_VARIABLE: dict[bytes, Reader] = {
    struct.pack(">I", Submit.COMMAND_ID): read_submit,
    struct.pack(">I", Deliver.COMMAND_ID): read_deliver,
}
_WRITERS: dict[type[Any], Writer] = {Submit: write_submit, Deliver: write_deliver, Unknown: _write_unknown}
_SIZES: dict[int, int] = {}

for _cls, _table in _FIXED.items():
    _layout = Layout(_cls.COMMAND_ID, **_table)
    _SIZES[_cls.COMMAND_ID] = _layout.size
    _reader, _writer = (_answer_reader, _answer_writer) if _table is _ANSWER else (_fixed_reader, _fixed_writer)
    _READERS[struct.pack(">II", _layout.size, _cls.COMMAND_ID)] = _reader(_layout, _cls)
    _WRITERS[_cls] = _writer(_layout)

# ACTIVE_TEST_RESP without its octet, and CANCEL_RESP with four as in CMPP 3.0 (docs/cmpp.md, traps 9 and 24).
_READERS[struct.pack(">II", HEADER, ActiveTestResp.COMMAND_ID)] = lambda data: ActiveTestResp(
    sequence_id=struct.unpack(">8xI", data)[0]
)
_READERS[struct.pack(">II", 16, CancelResp.COMMAND_ID)] = _fixed_reader(
    Layout(CancelResp.COMMAND_ID, success_id=U32), CancelResp
)
