"""``walt compare``: the same prompts and seeds by several models, on one page."""
