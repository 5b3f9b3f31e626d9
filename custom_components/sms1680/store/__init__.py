"""The message store: its databases, and what Home Assistant needs around them."""
