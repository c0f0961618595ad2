"""``walt status``."""
