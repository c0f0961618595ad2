"""Floor 1: the diffusion mathematics, as pure functions of tensors."""
