"""Cases and peers of ndimage."""
