"""Drivers of contractions: triple.pyx and modes.pyx."""
