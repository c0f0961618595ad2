"""Floor 1: everything about pixels and containers: decoding, scaling, videos, pictures, shots. No torch."""
