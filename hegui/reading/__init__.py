"""Train the second reader: a linear model over n-grams that the pack carries with it."""
