"""The shared state of several machines on a Valkey or Redis server. Only `connection` imports the package redis."""
