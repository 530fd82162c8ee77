"""Drivers of contractions: triple.pyx, mode_dot.pyx and mttkrp.pyx, which share blocks.pxd."""
