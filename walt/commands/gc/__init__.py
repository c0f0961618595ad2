"""``walt gc``."""
