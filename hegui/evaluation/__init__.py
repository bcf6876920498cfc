"""Score a pack on a labelled corpus, beside baselines and under noise."""
