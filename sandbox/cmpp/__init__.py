"""The platform's CMPP 2.0 side (platform document, chapter 3), on the same accounts and phones as the HTTP side."""

from __future__ import annotations

from .faults import CMPPFault, CMPPFaults
from .server import CMPPServer

__all__ = ["CMPPFault", "CMPPFaults", "CMPPServer"]
