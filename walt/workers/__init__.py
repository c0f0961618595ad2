"""Floor 1: work in processes that can be killed: in a pool on this machine, or on a Ray cluster. No torch."""
