"""Floor 4: models for others: folders that diffusers loads, out and in, and endpoints of the Hub's kind."""
