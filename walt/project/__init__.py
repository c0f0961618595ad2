"""Floor 4: a project as a whole: its parameters, its stages, what they depend on, and how one is run."""
