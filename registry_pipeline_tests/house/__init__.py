"""The house itself: contracts, lock, packaging."""
