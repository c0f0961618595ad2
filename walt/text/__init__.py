"""Floor 2: captions to T5 embeddings. The only room that imports transformers for text."""
