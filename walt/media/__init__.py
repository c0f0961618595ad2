"""Floor 1: everything that knows pixels and containers: decoding, scaling, videos, pictures, shots. No torch."""
