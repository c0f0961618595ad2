"""``walt inspect``."""
