"""What the product does, with no speech model and no queue loop in it."""
