"""An alarm that gets through: quiet hours, trying for longer, a safe text, and what comes next where that fails."""
