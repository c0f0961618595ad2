"""``walt sample``: the stage, or with options the videos that a person asks for."""
