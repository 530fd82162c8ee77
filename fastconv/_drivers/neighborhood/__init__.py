"""Drivers of neighbourhoods. Next hop: engine.pyx, which loads lines, then names.pyx, which chooses the way."""
