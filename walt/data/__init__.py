"""Floor 2: what later stages read: manifest, tars, datasets, sample order. Only this room imports webdataset."""
