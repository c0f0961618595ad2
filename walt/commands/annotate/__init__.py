"""``walt annotate``: columns of the user's own for the clips."""
