"""What is asked of every provider and what every provider answers: one file per noun. `base` has them all."""
