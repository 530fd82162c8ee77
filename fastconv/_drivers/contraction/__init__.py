"""Drivers of contractions: triple.pyx and modes.pyx."""
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # in a clone, the compiled modules of an installed package
