"""The content of a delivery report: a DELIVER with Registered_Delivery 1 (CMPP 2.0, 7.4.5.1)."""

import struct
from dataclasses import dataclass

from ...masking import mask_number
from .errors import CodecError
from .layout import read_text, write_text
from .pdus import Deliver

_CONTENT_AT = 85 - 8
_SIZES = {"stat": 7, "submit_time": 10, "done_time": 10, "dest_terminal_id": 21}
_LAYOUT = struct.Struct(">Q7s10s10s21sI")
_LAYOUT_3_0 = struct.Struct(">Q7s10s10s32sI")
_SHORT = struct.Struct(">Q7s")
_AT_DESTINATION = struct.calcsize(">Q7s10s10s")
_AT_SEQUENCE = struct.calcsize(">Q7s10s10s21s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """The delivery status of one segment at one destination.

    msg_id: from the SUBMIT_RESP. stat: seven characters; only `DELIVRD` is success, and `ACCEPTD` is not final.
    submit_time, done_time: YYMMDDHHMM, China time. dest_terminal_id: as received, with or without 86. smsc_sequence:
    from the SMSC. The missing fields of a short report (docs/cmpp.md, trap 21) are empty, except for the destination,
    which is the DELIVER's Src_terminal_Id.
    """

    msg_id: int
    stat: str
    submit_time: str = ""
    done_time: str = ""
    dest_terminal_id: str = ""
    smsc_sequence: int = 0

    @classmethod
    def of(cls, pdu: Deliver) -> "ReportContent":
        """Read the report of a DELIVER. Raises CodecError if the content has no Msg_Id and Stat.

        The fields are ASCII whatever Msg_Fmt says, and TP_udhi has no meaning here (docs/cmpp.md, trap 8).
        """
        content = pdu.msg_content
        if len(content) < _SHORT.size:
            problem = f"a report of {len(content)} octets, minimum {_SHORT.size}"
            raise CodecError(
                "msg_content", _CONTENT_AT, problem, command_id=Deliver.COMMAND_ID, sequence_id=pdu.sequence_id
            )
        if len(content) < _LAYOUT.size:
            if len(content) < _AT_SEQUENCE:
                content = content[:_AT_DESTINATION]  # the destination is cut off
            content = content.ljust(_LAYOUT.size, b"\0")
        layout = _LAYOUT_3_0 if len(content) == _LAYOUT_3_0.size else _LAYOUT
        msg_id, stat, submitted, done, destination, sequence = layout.unpack_from(content)
        return cls(
            msg_id=msg_id,
            stat=read_text(stat),
            submit_time=read_text(submitted),
            done_time=read_text(done),
            dest_terminal_id=read_text(destination) or pdu.src_terminal_id,
            smsc_sequence=sequence,
        )

    def __bytes__(self) -> bytes:
        """Return the 60 octets. Raises ValueError for a value that does not fit."""
        texts = [write_text(getattr(self, name), size) for name, size in _SIZES.items()]
        try:
            return _LAYOUT.pack(self.msg_id, *texts, self.smsc_sequence)
        except struct.error as error:
            raise ValueError(str(error)) from None

    def __repr__(self) -> str:
        return f"ReportContent(msg_id={self.msg_id}, stat={self.stat!r}, {mask_number(self.dest_terminal_id)})"
