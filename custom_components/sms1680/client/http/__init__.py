"""The platform's HTTP interface: requests, responses and the clients."""
