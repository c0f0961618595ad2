"""Floor 3: captions for clips that have none, by a vision-language model, and a person's corrections of them."""
