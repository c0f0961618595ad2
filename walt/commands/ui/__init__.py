"""``walt ui``: a page, and its HTTP interface, where people type prompts and watch videos."""
