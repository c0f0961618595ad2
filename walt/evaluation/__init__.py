"""Floor 3: videos to numbers."""
