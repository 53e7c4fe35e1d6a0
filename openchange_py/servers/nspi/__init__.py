"""nspi."""
