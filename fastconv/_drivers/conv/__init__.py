"""Drivers of conv2d. Next hop: run.pyx, then plan.pyx, then one of tiles.pyx, planes.pyx and depthwise.pyx."""
