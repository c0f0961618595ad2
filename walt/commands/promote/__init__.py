"""``walt promote``."""
