"""Schema migrations: roles, tables, fences and the queue's schema."""
