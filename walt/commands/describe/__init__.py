"""``walt describe``: the size and the cost of each model of a parameter file."""
