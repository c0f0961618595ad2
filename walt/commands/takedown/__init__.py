"""``walt takedown``: a source leaves, and does not come back."""
