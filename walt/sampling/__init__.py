"""Floor 3: prompts to videos."""
