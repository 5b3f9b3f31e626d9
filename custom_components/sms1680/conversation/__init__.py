"""Questions by SMS and their answers, and commands with their authentication."""
