"""What people say of findings: reviews, disputes, rules under watch, scorecards."""
