"""``walt reconstruct``: files through the autoencoder and back."""
