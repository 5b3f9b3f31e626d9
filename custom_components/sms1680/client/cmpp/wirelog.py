"""Logs PDUs as hexadecimal text, with texts, numbers and secrets masked."""

from collections.abc import Callable
from typing import Final, Literal

from .wire.codec import MAX_LENGTH
from .wire.layout import HEADER
from .wire.pdus import RESPONSE, Connect, ConnectResp, Deliver, Submit

_NAMES: Final = {
    1: "CONNECT",
    2: "TERMINATE",
    4: "SUBMIT",
    5: "DELIVER",
    6: "QUERY",
    7: "CANCEL",
    8: "ACTIVE_TEST",
}
# The octets that are safe to log; all others are masked, including the source number and the SP id.
_VISIBLE: Final[dict[int, tuple[tuple[int, int], ...]]] = {
    Connect.COMMAND_ID: ((34, 39),),
    ConnectResp.COMMAND_ID: ((12, 13), (29, 30)),
    Submit.COMMAND_ID: ((12, 35), (56, 59), (65, 107), (128, 129)),
    Deliver.COMMAND_ID: ((12, 20), (41, 54), (75, 77)),
}
_REPORT_AT: Final = 75
_REPORT_VISIBLE: Final = ((12, 20), (41, 54), (75, 112), (133, 137))


class WireLog:
    """Writes one line per PDU: direction, command, Sequence_Id, octets; `··` is a masked octet.

    Octets are grouped by four, so that no line contains eleven digits in a row that look like a phone number.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._rest = {"→": b"", "←": b""}

    def log(self, direction: Literal["→", "←"], octets: bytes) -> None:
        """Log outbound or inbound octets, cut anywhere."""
        stream = self._rest[direction] + octets
        begin = 0
        while len(stream) - begin >= HEADER:
            length = int.from_bytes(stream[begin : begin + 4], "big")
            if not HEADER <= length <= MAX_LENGTH:
                self._write(f"{direction} {len(stream) - begin} octets that are not CMPP")
                begin = len(stream)
            elif len(stream) - begin < length:
                break
            else:
                self._write(_line(direction, stream[begin : begin + length]))
                begin += length
        self._rest[direction] = stream[begin:]


def _line(direction: str, pdu: bytes) -> str:
    command_id = int.from_bytes(pdu[4:8], "big")
    name = _NAMES.get(command_id & ~RESPONSE, f"{command_id:#x}") + ("_RESP" if command_id & RESPONSE else "")
    shown = _VISIBLE.get(command_id, ((HEADER, len(pdu)),) if command_id & ~RESPONSE in _NAMES else ())
    if command_id == Deliver.COMMAND_ID and pdu[_REPORT_AT : _REPORT_AT + 1] == b"\x01":
        shown = _REPORT_VISIBLE
    digits = pdu[:HEADER].hex(" ", -4)
    place = HEADER
    for begin, end in (*shown, (len(pdu), len(pdu))):
        digits += " " + "··" * (min(begin, len(pdu)) - place) + " " + pdu[begin:end].hex(" ", -4)
        place = min(end, len(pdu))
    return f"{direction} {name} {int.from_bytes(pdu[8:HEADER], 'big')} {digits}"
