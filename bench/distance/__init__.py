"""Cases and peers of distance."""
