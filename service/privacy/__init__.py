"""What names or reaches a person: found, masked, sealed, and answered for."""
