"""Floor 2: typed memoryviews, blocks, threads, signals. Next hop: ../kernels/README.md."""
import pkgutil

__path__ = pkgutil.extend_path(__path__, __name__)  # in a clone, the compiled modules of an installed package
