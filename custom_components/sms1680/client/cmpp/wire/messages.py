"""SUBMIT and DELIVER, the two PDUs with variable length, which carry the messages (CMPP 2.0, 7.4.3.1 and 7.4.5.1).

Each message needs one of them. The fields that an account repeats in nearly every message (service code, fee, source
number, format) are adjacent. A `Block` checks and converts them once and caches the result, which saves most of the
time.
"""

import struct
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

from .errors import CodecError
from .layout import U8, U64, Block, Layout, Text, decode_error, mutable_twin, read_text, write_text
from .pdus import Deliver, Submit

MAX_DESTINATIONS: Final = 99
"""Maximum destinations of an outbound SUBMIT. Inbound ones can have 100 (docs/cmpp.md, trap 19)."""
MSISDN: Final = 21
RESERVE: Final = 8
SHORTEST_REPORT: Final = 15
"""Octets of a report's Msg_Id and Stat."""
_REPORT_SIZES: Final = (60, 71)
_BLANK: Final = bytes(RESERVE)

_SUBMIT = Layout(
    Submit.COMMAND_ID,
    msg_id=U64,
    pk_total=U8,
    pk_number=U8,
    registered_delivery=U8,
    msg_level=U8,
    service_id=Text(10),
    fee_usertype=U8,
    fee_terminal_id=Text(MSISDN),
    tp_pid=U8,
    tp_udhi=U8,
    msg_fmt=U8,
    msg_src=Text(6),
    fee_type=Text(2),
    fee_code=Text(6),
    valid_time=Text(17),
    at_time=Text(17),
    src_id=Text(MSISDN),
    dest_usr_tl=U8,
)
_SUBMIT_BLOCK = Block(_SUBMIT, "msg_level", "src_id")
_SUBMIT_HEAD = struct.Struct(f">IIIQBBB{_SUBMIT_BLOCK.format}B")
_SUBMIT_HEAD_READER = struct.Struct(f">8xIQBBB{_SUBMIT_BLOCK.format}B")
_SUBMIT_MIN = _SUBMIT.size + 1 + RESERVE

_DELIVER = Layout(
    Deliver.COMMAND_ID,
    msg_id=U64,
    dest_id=Text(MSISDN),
    service_id=Text(10),
    tp_pid=U8,
    tp_udhi=U8,
    msg_fmt=U8,
    src_terminal_id=Text(MSISDN),
    registered_delivery=U8,
    msg_length=U8,
)
_DELIVER_BLOCK = Block(_DELIVER, "dest_id", "msg_fmt")
_DELIVER_HEAD = struct.Struct(f">IIIQ{_DELIVER_BLOCK.format}{MSISDN}sBB")
_DELIVER_HEAD_READER = struct.Struct(f">8xIQ{_DELIVER_BLOCK.format}{MSISDN}sBB")

_SUBMIT_COMMAND: Final = Submit.COMMAND_ID
_DELIVER_COMMAND: Final = Deliver.COMMAND_ID
_DOES_NOT_FIT = (ValueError, TypeError, AttributeError, struct.error)

_submit_twin: Any = mutable_twin(Submit)
_deliver_twin: Any = mutable_twin(Deliver)
_new: Any = object.__new__


def max_content(msg_fmt: int) -> int:
    """Return the maximum octets of content for a Msg_Fmt, user data header included.

    The standard says "less than 160" for ASCII, but gateways accept 160.
    """
    return 160 if msg_fmt == 0 else 140


def read_submit(data: bytes) -> Submit:
    """Return a SUBMIT. `data` is one whole PDU of that command."""
    length = len(data)
    if length < _SUBMIT_MIN:
        raise decode_error(data, "total_length", 0, f"{length}, minimum {_SUBMIT_MIN} for SUBMIT")
    made = _new(_submit_twin)
    made.sequence_id, made.msg_id, made.pk_total, made.pk_number, made.registered_delivery, block, count = (
        _SUBMIT_HEAD_READER.unpack_from(data)
    )
    at_length = _SUBMIT.size + MSISDN * count
    if not 1 <= count <= MAX_DESTINATIONS + 1 or at_length + 1 + RESERVE > length:
        raise decode_error(data, "dest_usr_tl", _SUBMIT.size - 1, f"{count} destinations in {length} octets")
    at_reserve = length - RESERVE
    if data[at_length] != at_reserve - at_length - 1:
        problem = f"{data[at_length]} instead of {at_reserve - at_length - 1}"
        raise decode_error(data, "msg_length", at_length, problem)
    (
        made.msg_level,
        made.service_id,
        made.fee_usertype,
        made.fee_terminal_id,
        made.tp_pid,
        made.tp_udhi,
        made.msg_fmt,
        made.msg_src,
        made.fee_type,
        made.fee_code,
        made.valid_time,
        made.at_time,
        made.src_id,
    ) = _SUBMIT_BLOCK.read(block)
    if count == 1:
        made.dest_terminal_id = (read_text(data[_SUBMIT.size : at_length]),)
    else:
        made.dest_terminal_id = _read_numbers(data, at_length)
    made.msg_content = data[at_length + 1 : at_reserve]
    made.reserve = "" if data.endswith(_BLANK) else read_text(data[at_reserve:])
    made.__class__ = Submit
    return made  # type: ignore[no-any-return]


def read_deliver(data: bytes) -> Deliver:
    """Return a DELIVER, read as far as it goes. Raises CodecError if it ends before its content.

    Some gateways write no reserve or a shorter one, others a wrong Msg_Length: 0 for a report, or a report of 71 octets
    (docs/cmpp.md, traps 20, 21 and 27).
    """
    at_reserve = len(data) - RESERVE
    if at_reserve < _DELIVER.size - RESERVE:
        raise decode_error(data, "total_length", 0, f"{len(data)}, minimum {_DELIVER.size} for DELIVER")
    made = _new(_deliver_twin)
    made.sequence_id, made.msg_id, block, sender, kind, msg_length = _DELIVER_HEAD_READER.unpack_from(data)
    made.dest_id, made.service_id, made.tp_pid, made.tp_udhi, made.msg_fmt = _DELIVER_BLOCK.read(block)
    made.src_terminal_id = read_text(sender)
    made.registered_delivery = kind
    if msg_length == at_reserve - _DELIVER.size:
        made.msg_content = data[_DELIVER.size : at_reserve]
        made.reserve = "" if data.endswith(_BLANK) else read_text(data[at_reserve:])
    else:
        read = _report_content if kind == 1 else _actual_content
        made.msg_content, made.reserve = read(data[_DELIVER.size :], msg_length), ""
    made.__class__ = Deliver
    return made  # type: ignore[no-any-return]


def _actual_content(body: bytes, msg_length: int) -> bytes:
    """Return the content of a message with a wrong Msg_Length, without padding after that length.

    body: the content and what there is of the reserve. The gateway does not repeat a message that is lost here.
    """
    if len(body) < RESERVE:  # there is no reserve
        return body[:msg_length] + body[msg_length:].rstrip(b"\0")
    content = body[:-RESERVE]
    if msg_length > len(content):
        return (body[:msg_length] if msg_length <= len(body) else body.removesuffix(_BLANK))[:msg_length]
    return content[:msg_length] + content[msg_length:].rstrip(b"\0")


def _report_content(body: bytes, msg_length: int) -> bytes:
    """Return the content of a report with a wrong Msg_Length or a missing reserve."""
    if len(body) - RESERVE < msg_length <= len(body):
        return body[:msg_length]
    without_reserve = len(body) in _REPORT_SIZES or len(body) < SHORTEST_REPORT + RESERVE
    return body if without_reserve else body[:-RESERVE]


def submit_writer(msg_src: str, service_id: str) -> Callable[..., bytes]:
    """Return a function that writes an account's SUBMITs without making the PDUs, which would cost most of the time.

    Its arguments are sequence_id, pk_total, pk_number, msg_fmt, valid_time, at_time, src_id, dest_terminal_id and
    msg_content. It sets TP_udhi if there are several segments; all other fields have their defaults. Raises ValueError
    or struct.error for a value that does not fit.
    """
    content: Any = {"dest_terminal_id": ("0",), "msg_content": b""}
    shared = partial(Submit, sequence_id=0, msg_src=msg_src, service_id=service_id, **content)

    @lru_cache(maxsize=256)
    def read_usual(tp_udhi: int, msg_fmt: int, valid_time: str, at_time: str, src_id: str) -> tuple[int, int, bytes]:
        """Return the fields that the account repeats: Msg_Id, Registered_Delivery and the block."""
        pdu = shared(tp_udhi=tp_udhi, msg_fmt=msg_fmt, valid_time=valid_time, at_time=at_time, src_id=src_id)
        _, msg_id, _, _, registered, block, _ = _SUBMIT_HEAD_READER.unpack_from(write_submit(pdu))
        return msg_id, registered, block

    def write(  # noqa: PLR0917 - keywords would cost half of the time saved
        sequence_id: int,
        pk_total: int,
        pk_number: int,
        msg_fmt: int,
        valid_time: str,
        at_time: str,
        src_id: str,
        dest_terminal_id: tuple[str, ...],
        msg_content: bytes,
    ) -> bytes:
        count, length = len(dest_terminal_id), len(msg_content)
        if not 0 < count <= MAX_DESTINATIONS or length > max_content(msg_fmt):
            raise ValueError(f"{count} destinations, {length} octets")
        numbers = _write_number(dest_terminal_id[0]) if count == 1 else b"".join(map(_write_number, dest_terminal_id))
        msg_id, registered, block = read_usual(1 if pk_total > 1 else 0, msg_fmt, valid_time, at_time, src_id)
        total = _SUBMIT_MIN + MSISDN * count + length
        fixed = (_SUBMIT_COMMAND, sequence_id, msg_id, pk_total, pk_number, registered, block, count)
        return b"%b%b%c%b%b" % (_SUBMIT_HEAD.pack(total, *fixed), numbers, length, msg_content, _BLANK)

    return write


def write_submit(pdu: Submit) -> bytes:
    """Return the octets of a SUBMIT. Raises CodecError for a value that does not fit."""
    destinations = pdu.dest_terminal_id
    content = pdu.msg_content
    count, length = len(destinations), len(content)
    try:
        if not 0 < count <= MAX_DESTINATIONS or length > max_content(pdu.msg_fmt):
            raise ValueError
        numbers = _write_number(destinations[0]) if count == 1 else b"".join(map(_write_number, destinations))
        block = _SUBMIT_BLOCK.write(
            pdu.msg_level,
            pdu.service_id,
            pdu.fee_usertype,
            pdu.fee_terminal_id,
            pdu.tp_pid,
            pdu.tp_udhi,
            pdu.msg_fmt,
            pdu.msg_src,
            pdu.fee_type,
            pdu.fee_code,
            pdu.valid_time,
            pdu.at_time,
            pdu.src_id,
        )
        head = _SUBMIT_HEAD.pack(
            _SUBMIT_MIN + MSISDN * count + length,
            _SUBMIT_COMMAND,
            pdu.sequence_id,
            pdu.msg_id,
            pdu.pk_total,
            pdu.pk_number,
            pdu.registered_delivery,
            block,
            count,
        )
        return b"%b%b%c%b%b" % (head, numbers, length, content, _write_reserve(pdu.reserve) if pdu.reserve else _BLANK)
    except _DOES_NOT_FIT:
        raise _submit_error(pdu) from None


def write_deliver(pdu: Deliver) -> bytes:
    """Return the octets of a DELIVER. Raises CodecError for a value that does not fit."""
    content = pdu.msg_content
    length = len(content)
    try:
        if length > max_content(pdu.msg_fmt):
            raise ValueError
        head = _DELIVER_HEAD.pack(
            _DELIVER.size + length + RESERVE,
            _DELIVER_COMMAND,
            pdu.sequence_id,
            pdu.msg_id,
            _DELIVER_BLOCK.write(pdu.dest_id, pdu.service_id, pdu.tp_pid, pdu.tp_udhi, pdu.msg_fmt),
            write_text(pdu.src_terminal_id, MSISDN),
            pdu.registered_delivery,
            length,
        )
        return b"%b%b%b" % (head, content, _write_reserve(pdu.reserve) if pdu.reserve else _BLANK)
    except _DOES_NOT_FIT:
        raise _encode_error(_DELIVER, pdu, _DELIVER.size - 1) from None


def _read_numbers(data: bytes, end: int) -> tuple[str, ...]:
    return tuple([read_text(data[at : at + MSISDN]) for at in range(_SUBMIT.size, end, MSISDN)])


def _write_number(number: str) -> bytes:
    octets = write_text(number, MSISDN)
    if not octets:
        raise ValueError("empty")
    return octets.ljust(MSISDN, b"\0")


def _write_reserve(reserve: str) -> bytes:
    return write_text(reserve, RESERVE).ljust(RESERVE, b"\0")


def _submit_error(pdu: Submit) -> CodecError:
    """Return the error for the field of a SUBMIT that cannot be encoded."""
    count = pdu.dest_usr_tl
    if not 1 <= count <= MAX_DESTINATIONS:
        return _SUBMIT.error("dest_usr_tl", pdu, f"{count} destinations, must be 1 to {MAX_DESTINATIONS}")
    for place, number in enumerate(pdu.dest_terminal_id):
        try:
            _write_number(number)
        except (ValueError, AttributeError) as error:
            problem = f"destination {place + 1}: {error}"
            return _SUBMIT.error("dest_terminal_id", pdu, problem, _SUBMIT.size + MSISDN * place)
    return _encode_error(_SUBMIT, pdu, _SUBMIT.size + MSISDN * count)


def _encode_error(layout: Layout, pdu: Submit | Deliver, at_length: int) -> CodecError:
    content, longest = pdu.msg_content, max_content(pdu.msg_fmt)
    if len(content) > longest:
        return layout.error("msg_length", pdu, f"{len(content)} octets, maximum {longest}", at_length)
    try:
        layout.write(0, pdu)
        _write_reserve(pdu.reserve)
    except CodecError as error:
        return error
    except (ValueError, AttributeError) as error:
        return layout.error("reserve", pdu, str(error), at_length + 1 + len(content))
    return layout.error("msg_content", pdu, "not bytes", at_length + 1)
