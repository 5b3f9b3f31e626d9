"""The error of the codec, which names the field of the PDU and its octet."""

from ...errors import SMS1680Error


class CodecError(SMS1680Error, ValueError):
    """The octets are not a CMPP 2.0 PDU, or a value does not fit into its field.

    field: the name of the attribute, or total_length or command_id of the header. offset: the octet of the PDU at
    which the field begins, from 0. command_id, sequence_id: of the PDU, 0 if they could not be read. fatal: the stream
    is out of step, so the connection must be closed.
    """

    def __init__(
        self, field: str, offset: int, problem: str, *, command_id: int = 0, sequence_id: int = 0, fatal: bool = False
    ) -> None:
        """Describe the problem, without quoting a number, a secret or a text."""
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
