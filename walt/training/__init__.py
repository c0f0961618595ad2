"""Floor 3: the training loop, its state and its checkpoints."""
