"""Floor 4: one file a stage, each with run(config, paths), declared in walt.stages.registry."""
