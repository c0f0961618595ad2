"""Floor 1: layers. Shapes are given in the legend of walt.transformer.model."""
