"""Who may come in, and what they may see: tenants, keys, regulators' grants, fair samples."""
