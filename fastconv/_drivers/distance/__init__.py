"""Drivers of distances. Next hop: pairs.pyx."""
