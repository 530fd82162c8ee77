"""Cases and peers of neighborhood."""
