"""The message store: its databases, and their integration into Home Assistant."""
