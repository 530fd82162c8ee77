"""Whether the compiled modules belong to these sources. The package imports it before all else."""
from pathlib import Path

from .._drivers import runtime as _runtime
from .._version import __version__


def _check(home: Path, drivers: Path, version: str | None) -> None:
    """Raise ImportError if the faces in the folder `home` are not those that the modules in `drivers` were built beside."""
    fault = ""
    if version != __version__:
        fault = f"are of version {version}, not {__version__}"
    elif drivers != home:
        changed = (p.relative_to(home) for p in sorted(home.rglob("*.py")) if not _same(p, drivers / p.relative_to(home)))
        name = next(changed, None)
        fault = f"belong to another {name} than this one" if name else ""
    if fault:
        raise ImportError(
            f"fastconv is imported from {home}, which has no compiled modules, and those in {drivers} {fault}: build it in its "
            f"own folder (pip install -e), or import the installed package from elsewhere"
            if drivers != home else
            f"the compiled modules of fastconv in {home} {fault}: build them again"
        )


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


_check(Path(__file__).parent.parent, Path(_runtime.__file__).parent.parent, getattr(_runtime, "VERSION", None))
