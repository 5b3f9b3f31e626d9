"""The events of this integration on the bus: their contexts, and what they led to."""
