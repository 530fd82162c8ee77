"""Cases and peers of conv."""
