"""Prefect: when the stages run. The only package that imports prefect; what is stale is DVC's to decide."""
