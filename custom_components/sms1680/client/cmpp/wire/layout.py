"""How the fields of a PDU that have a fixed place lie in its octets (CMPP 2.0, chapter 7).

A `Layout` reads and writes all of its fields with one precompiled struct. Which field is to blame is found out only
after that has failed, so that the usual way pays nothing for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass
from functools import lru_cache
from typing import Any, TypeVar

from .errors import CodecError

__all__ = [
    "HEADER",
    "U8",
    "U32",
    "U64",
    "Block",
    "Field",
    "Layout",
    "Octets",
    "Text",
    "decode_error",
    "mutable_twin",
    "read_text",
    "write_text",
]

HEADER = 12
"""Octets of Total_Length, Command_Id and Sequence_Id."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its struct format, its size in octets, and whether it is an octet string that holds text."""

    format: str
    size: int
    text: bool = False

    def check(self, value: int | str | bytes) -> int | bytes:
        """Return what the struct takes for a value; raise what Python raises where it doesn't fit."""
        if isinstance(value, str):
            if not self.text:
                raise TypeError("text, it takes none")
            return write_text(value, self.size)
        if self.text:
            raise TypeError(f"{type(value).__name__}, it takes text")
        if isinstance(value, bytes) and len(value) != self.size:
            raise ValueError(f"{len(value)} octets, it takes {self.size}")
        struct.pack(">" + self.format, value)
        return value


U8 = Field("B", 1)
U32 = Field("I", 4)
U64 = Field("Q", 8)


def Text(size: int) -> Field:  # noqa: N802 - reads as a type in the tables
    """Return an octet string: ASCII from the left, padded with NUL; where it is full there is no NUL."""
    return Field(f"{size}s", size, text=True)


def Octets(size: int) -> Field:  # noqa: N802 - as above
    """Return a binary field of exactly `size` octets."""
    return Field(f"{size}s", size)


def read_text(raw: bytes) -> str:
    """Return an octet string without its padding: cut at the first NUL, then stripped of blanks (trap 16).

    Octets beyond ASCII can't be meant here; they are read as Latin-1, so that nothing fails and nothing is lost.
    """
    text = raw.rstrip(b"\0")
    if text.isalnum():  # the usual digits and names: surely ASCII, without blanks
        return text.decode()
    return text.partition(b"\0")[0].strip(b" ").decode("latin-1")


def write_text(text: str, size: int) -> bytes:
    """Return a text's octets without their padding. Raises ValueError, saying why, where they can't be written."""
    if not text.isascii() or "\0" in text:
        raise ValueError("holds a NUL or characters beyond ASCII")
    if len(text) > size:
        raise ValueError(f"{len(text)} octets, at most {size} fit")
    return text.encode()


def decode_error(data: bytes, field: str, offset: int, problem: str) -> CodecError:
    """Return the error that blames a field of a well-framed PDU that was read."""
    command_id, sequence_id = struct.unpack_from(">II", data, 4)
    return CodecError(field, offset, problem, command_id=command_id, sequence_id=sequence_id)


def mutable_twin(cls: type[T]) -> Callable[..., T]:
    """Return a mutable twin of a frozen slots dataclass, to be filled in the order of its fields.

    A frozen `__init__` pays `object.__setattr__` for each attribute, six times what filling a twin with the same slots
    costs. Whoever fills a draft assigns the frozen class to its `__class__` before handing it to anybody.
    """
    return make_dataclass(cls.__name__, [field.name for field in fields(cls)], slots=True)  # type: ignore[arg-type]


class Layout:
    """The fields of a PDU that have a fixed place, Sequence_Id first."""

    def __init__(self, command_id: int, /, **table: Field) -> None:
        """Take the fields that follow Sequence_Id, in their order on the wire, under their attributes' names."""
        self.command_id = command_id
        self.table = {"sequence_id": U32, **table}
        self.size = 8 + sum(field.size for field in self.table.values())
        formats = "".join(field.format for field in self.table.values())
        self.packer = struct.Struct(">II" + formats)
        self.unpacker = struct.Struct(">8x" + formats)
        self.texts = [place for place, field in enumerate(self.table.values()) if field.text]

    def offset(self, name: str) -> int:
        """Return the octet of the PDU at which a field begins."""
        names = list(self.table)
        return 8 + sum(self.table[other].size for other in names[: names.index(name)])

    def read(self, data: bytes) -> list[Any]:
        """Return the fields' values in their order. Raises struct.error unless `data` has `size` octets."""
        values = list(self.unpacker.unpack(data))
        for place in self.texts:
            values[place] = read_text(values[place])
        return values

    def write(self, total_length: int, pdu: object) -> bytes:
        """Return the octets of the fixed part. Raises CodecError, naming the field, for a value that doesn't fit."""
        values = []
        for name, field in self.table.items():
            try:
                values.append(field.check(getattr(pdu, name)))
            except (ValueError, TypeError, AttributeError, struct.error) as wrong:
                raise self.error(name, pdu, str(wrong)) from None
        return self.packer.pack(total_length, self.command_id, *values)

    def error(self, name: str, pdu: object, problem: str, offset: int | None = None) -> CodecError:
        """Return the error that blames a field of a PDU that was to be written, at its own place if none is given."""
        place = self.offset(name) if offset is None else offset
        sequence_id = getattr(pdu, "sequence_id", 0)
        return CodecError(name, place, problem, command_id=self.command_id, sequence_id=sequence_id)


class Block:
    """Neighbouring fields of a layout that an account repeats in nearly every message.

    `read` and `write` remember what they last converted: the checks and conversions of a dozen fields are done once,
    and after that cost one look-up. The memory is bounded, and what it holds is no secret of a single message.
    """

    def __init__(self, layout: Layout, first: str, last: str, remembered: int = 256) -> None:
        """Take the fields from one to another."""
        names = list(layout.table)
        inside = [layout.table[name] for name in names[names.index(first) : names.index(last) + 1]]
        self._fields = inside
        self._struct = struct.Struct(">" + "".join(field.format for field in inside))
        self.format = f"{self._struct.size}s"
        self.read = lru_cache(maxsize=remembered)(self._read)
        self.write = lru_cache(maxsize=remembered)(self._write)

    def _read(self, octets: bytes) -> tuple[Any, ...]:
        values = zip(self._struct.unpack(octets), self._fields, strict=True)
        return tuple([read_text(value) if field.text else value for value, field in values])

    def _write(self, *values: int | str) -> bytes:
        pairs = zip(values, self._fields, strict=True)
        return self._struct.pack(*[field.check(value) for value, field in pairs])
