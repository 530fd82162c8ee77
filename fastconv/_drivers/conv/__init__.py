"""Drivers of conv2d. Next hop: run.pyx, then plan.pyx, then one of tiles.pyx, planes.pyx and depthwise.pyx."""
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # in a clone, the compiled modules of an installed package
