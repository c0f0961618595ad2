"""Floor 0: what every other room stands on. Nothing here imports torch."""
