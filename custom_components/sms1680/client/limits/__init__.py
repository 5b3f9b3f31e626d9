"""What limits sending: the account's rate, its slots, and the spending budget."""
