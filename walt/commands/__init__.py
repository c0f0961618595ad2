"""Floor 6: what people call by hand, one file per command."""
