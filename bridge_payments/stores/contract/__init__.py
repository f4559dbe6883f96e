"""What a store keeps beside payments: one protocol per noun. `base` has them all."""
