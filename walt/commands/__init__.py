"""Floor 6: what people call by hand, one file a command."""
