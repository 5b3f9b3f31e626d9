"""The fixed fields of a PDU and their octets (CMPP 2.0, chapter 7).

A `Layout` reads and writes all of its fields with one precompiled struct. It looks for the faulty field only after an
error, so that the normal path costs nothing extra.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass
from functools import lru_cache
from typing import Any, TypeVar

from .errors import CodecError

HEADER = 12
"""Octets of Total_Length, Command_Id and Sequence_Id."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its struct format, its size in octets, and whether it is an octet string with text."""

    format: str
    size: int
    text: bool = False

    def check(self, value: int | str | bytes) -> int | bytes:
        """Return the value for the struct. Raises TypeError, ValueError or struct.error if it does not fit."""
        if isinstance(value, str):
            if not self.text:
                raise TypeError("text in a field without text")
            return write_text(value, self.size)
        if self.text:
            raise TypeError(f"{type(value).__name__} instead of text")
        if isinstance(value, bytes) and len(value) != self.size:
            raise ValueError(f"{len(value)} octets instead of {self.size}")
        struct.pack(">" + self.format, value)
        return value


U8 = Field("B", 1)
U32 = Field("I", 4)
U64 = Field("Q", 8)


def Text(size: int) -> Field:  # noqa: N802 - named like a type for the tables
    """Return an octet string field: ASCII, left-aligned, padded with NUL. At full width it has no NUL."""
    return Field(f"{size}s", size, text=True)


def Octets(size: int) -> Field:  # noqa: N802 - named like a type for the tables
    """Return a binary field of exactly `size` octets."""
    return Field(f"{size}s", size)


def read_text(raw: bytes) -> str:
    """Return an octet string cut at the first NUL and stripped of blanks (docs/cmpp.md, trap 16).

    Non-ASCII octets are not allowed here; they are read as Latin-1, which never fails and loses nothing.
    """
    text = raw.rstrip(b"\0")
    if text.isalnum():  # a fast path for digits and names: ASCII without blanks
        return text.decode()
    return text.partition(b"\0")[0].strip(b" ").decode("latin-1")


def write_text(text: str, size: int) -> bytes:
    """Return the octets of a text without padding. Raises ValueError if they do not fit."""
    if not text.isascii() or "\0" in text:
        raise ValueError("contains a NUL or non-ASCII characters")
    if len(text) > size:
        raise ValueError(f"{len(text)} octets, maximum {size}")
    return text.encode()


def decode_error(data: bytes, field: str, offset: int, problem: str) -> CodecError:
    """Return the error for a field of a received PDU with valid framing."""
    command_id, sequence_id = struct.unpack_from(">II", data, 4)
    return CodecError(field, offset, problem, command_id=command_id, sequence_id=sequence_id)


def mutable_twin(cls: type[T]) -> Callable[..., T]:
    """Return a mutable class with the slots of a frozen dataclass, and its fields as positional arguments.

    The frozen `__init__` calls `object.__setattr__` for each attribute and takes six times as long. The caller fills
    an instance of the twin, then assigns the frozen class to its `__class__`.
    """
    return make_dataclass(cls.__name__, [field.name for field in fields(cls)], slots=True)  # type: ignore[arg-type]


class Layout:
    """The fields of a PDU with a fixed offset, beginning with Sequence_Id."""

    def __init__(self, command_id: int, /, **table: Field) -> None:
        """Define the fields after Sequence_Id, in wire order, named like the attributes of the PDU."""
        self.command_id = command_id
        self.table = {"sequence_id": U32, **table}
        self.size = 8 + sum(field.size for field in self.table.values())
        formats = "".join(field.format for field in self.table.values())
        self.packer = struct.Struct(">II" + formats)
        self.unpacker = struct.Struct(">8x" + formats)
        self.texts = [place for place, field in enumerate(self.table.values()) if field.text]

    def offset(self, name: str) -> int:
        """Return the offset of a field in the PDU."""
        names = list(self.table)
        return 8 + sum(self.table[other].size for other in names[: names.index(name)])

    def read(self, data: bytes) -> list[Any]:
        """Return the values of the fields in order. Raises struct.error unless `data` has `size` octets."""
        values = list(self.unpacker.unpack(data))
        for place in self.texts:
            values[place] = read_text(values[place])
        return values

    def write(self, total_length: int, pdu: object) -> bytes:
        """Return the octets of the fixed part. Raises CodecError for a value that does not fit."""
        values = []
        for name, field in self.table.items():
            try:
                values.append(field.check(getattr(pdu, name)))
            except (ValueError, TypeError, AttributeError, struct.error) as error:
                raise self.error(name, pdu, str(error)) from None
        return self.packer.pack(total_length, self.command_id, *values)

    def error(self, name: str, pdu: object, problem: str, offset: int | None = None) -> CodecError:
        """Return the error for a field of an outbound PDU, by default at the offset of that field."""
        place = self.offset(name) if offset is None else offset
        sequence_id = getattr(pdu, "sequence_id", 0)
        return CodecError(name, place, problem, command_id=self.command_id, sequence_id=sequence_id)


class Block:
    """Adjacent fields of a layout that an account repeats in nearly every message.

    `read` and `write` cache their results, so that a dozen fields cost one lookup. The cache is bounded and holds no
    content and no destination of a message.
    """

    def __init__(self, layout: Layout, first: str, last: str) -> None:
        names = list(layout.table)
        self._fields = [layout.table[name] for name in names[names.index(first) : names.index(last) + 1]]
        self._struct = struct.Struct(">" + "".join(field.format for field in self._fields))
        self.format = f"{self._struct.size}s"
        self.read = lru_cache(maxsize=256)(self._read)
        self.write = lru_cache(maxsize=256)(self._write)

    def _read(self, octets: bytes) -> tuple[Any, ...]:
        values = zip(self._struct.unpack(octets), self._fields, strict=True)
        return tuple([read_text(value) if field.text else value for value, field in values])

    def _write(self, *values: int | str) -> bytes:
        pairs = zip(values, self._fields, strict=True)
        return self._struct.pack(*[field.check(value) for value, field in pairs])
