"""Parameter files, as data: walt.stages.recipes copies one to params.yaml."""
