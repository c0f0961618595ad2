"""``walt verify``."""
