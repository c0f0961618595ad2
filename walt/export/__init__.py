"""Clips and captions in the layouts that other tools read."""
