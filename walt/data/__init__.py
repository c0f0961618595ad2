"""Floor 2: sources, shards and the deterministic sample order. The only room that imports webdataset."""
