"""Recordings kept as long as the law asks: store, clocks, holds, purges, completeness."""
