"""The gateway on a real socket, and the clients of it, of the core's own tests."""

from core.cmpp.conftest import connect, gateway

__all__ = ["connect", "gateway"]
