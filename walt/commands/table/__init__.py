"""``walt table``: a table of the paper as a grid of runs, with the paper's values beside ours."""
