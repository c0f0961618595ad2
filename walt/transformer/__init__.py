"""Floor 2: the window-attention transformer, the paper's second stage."""
