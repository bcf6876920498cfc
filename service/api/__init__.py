"""HTTP only: one module a resource."""
