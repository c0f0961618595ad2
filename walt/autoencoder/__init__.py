"""Floor 2: the causal autoencoder, the paper's first stage."""
