"""What proves what happened: the ledger, signed heads, evidence bundles and audit reports."""
