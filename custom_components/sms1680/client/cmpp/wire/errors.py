"""The codec's own error: which field of which PDU, and at which octet."""

from __future__ import annotations

from ...errors import SMS1680Error

__all__ = ["CodecError"]


class CodecError(SMS1680Error, ValueError):
    """Octets that are no CMPP 2.0 PDU, or values that no PDU can carry.

    field: its name, as the attribute's (total_length and command_id of the header). offset: the octet of the PDU at
    which it begins, counted from the first of Total_Length. command_id, sequence_id: of the PDU, as far as they could
    be read. fatal: the stream can't be followed any further, so the connection must be closed.
    """

    def __init__(
        self,
        field: str,
        offset: int,
        problem: str,
        *,
        command_id: int = 0,
        sequence_id: int = 0,
        fatal: bool = False,
    ) -> None:
        """Say what is wrong with the field; `problem` never quotes a number, a secret or a text."""
        super().__init__(
            f"CMPP {command_id:#x}: {field} at octet {offset}: {problem}",
            f"CMPP {command_id:#x}：字段 {field}（第 {offset} 字节）：{problem}",
        )
        self.field = field
        self.offset = offset
        self.problem = problem
        self.command_id = command_id
        self.sequence_id = sequence_id
        self.fatal = fatal
