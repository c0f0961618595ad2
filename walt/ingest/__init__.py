"""Floor 3: from source files to clips in tars: listing, cutting, screening, writing, publishing. No torch."""
