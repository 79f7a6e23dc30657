"""From examples to tuned weights. Knows methods, objectives and checkpoints; not candidates, races or who asks."""
