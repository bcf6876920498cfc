"""Who is told of what: endpoints, routing, digests, escalation and the log of deliveries."""
