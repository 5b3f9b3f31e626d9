"""Duty groups: who is on duty, and alarms that text the next member until somebody takes them."""
