"""Prefect: when the stages run. The only package that imports prefect; DVC decides what is stale."""
