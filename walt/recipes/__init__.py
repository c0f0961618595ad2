"""Parameter files, as data: walt.project.recipes copies one to params.yaml."""
