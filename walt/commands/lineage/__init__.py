"""``walt lineage``: what a model was made of, and where a source is."""
