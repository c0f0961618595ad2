"""Floor 5: one file per stage, each with run(config, paths), declared in walt.project.registry."""
