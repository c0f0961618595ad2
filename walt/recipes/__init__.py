"""Parameter files. walt init copies one to params.yaml."""
