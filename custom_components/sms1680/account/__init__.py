"""The parts of an account: its clients, their journal, health, spending and statistics."""
