"""Drivers of neighbourhoods. Next hop: engine.pyx, which loads lines, then names.pyx, which chooses the way."""
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # in a clone, the compiled modules of an installed package
