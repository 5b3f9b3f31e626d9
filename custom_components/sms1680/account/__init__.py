"""What an account has: its clients, their journal, health, spending and statistics."""
