"""Floor 2: what later stages read: manifest, tars, datasets, sample order. The only room that imports webdataset."""
