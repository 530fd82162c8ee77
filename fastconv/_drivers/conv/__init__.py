"""Drivers of conv2d. Next hop: run.pyx, then plan.pyx."""
