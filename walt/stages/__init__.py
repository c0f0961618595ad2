"""Floor 5: one file a stage, each with run(config, paths), declared in walt.project.registry."""
