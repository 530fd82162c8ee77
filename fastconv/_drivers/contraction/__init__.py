"""Drivers of contractions: triple.pyx, mode_dot.pyx and mttkrp.pyx, which share blocks.pxd."""
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # in a clone, the compiled modules of an installed package
