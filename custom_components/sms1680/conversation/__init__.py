"""Questions by SMS and their answers, and authenticated commands."""
