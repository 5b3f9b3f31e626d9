"""The networks from which a push may come."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def is_in_networks(remote: str, networks: Iterable[str | IPv4Network | IPv6Network]) -> bool:
    """Return whether an address is in one of the networks. Without networks, it is not."""
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ip_network(network, strict=False) for network in networks)
