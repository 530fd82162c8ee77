"""Cases and peers of contraction."""
