"""Adapters: one file for each kind of source, each listing items as (path, caption, label)."""
