"""Threads, instruction set and configuration. Next hop: ../_drivers/runtime.pyx, which holds the state the drivers read."""
import contextlib
import contextvars
import math
import os
import pathlib
import platform
from collections.abc import Iterator, Mapping

from .._drivers import runtime as _runtime
from .._face import args as _args

__all__ = [
    "available_isas",
    "get_num_threads",
    "isa",
    "num_threads",
    "seams",
    "set_num_threads",
    "show_config",
    "use_isa",
    "use_seams",
]

from .._version import __version__

_chosen: int | None = None
_context: contextvars.ContextVar[int | None] = contextvars.ContextVar("fastconv_num_threads", default=None)


_THREADS = f"a positive integer up to {_args.MOST_THREADS}"


def _threads(n: object) -> int:
    return _args.integer("n", n, 1, _THREADS, _args.MOST_THREADS)


def _quota(text_quota: str, text_period: str) -> int | None:
    try:
        quota, period = int(text_quota), int(text_period)
    except ValueError:
        return None
    return max(1, math.ceil(quota / period)) if quota > 0 and period > 0 else None


def _cgroup_cpus(root: str = "/") -> int | None:
    """CPUs that the control group's quota allows (version 2, then 1; the smallest of the group's and its parents')."""
    base = pathlib.Path(root)
    limits = []

    def read(path: pathlib.Path) -> list[str]:
        try:
            return path.read_text().split()
        except (OSError, UnicodeDecodeError):
            return []

    groups = {"": "", "cpu": ""}
    try:
        for line in (base / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                groups[name] = path.strip("/")
    except (OSError, ValueError):
        pass
    for mount, group in (("sys/fs/cgroup", groups[""]), ("sys/fs/cgroup/cpu", groups["cpu"])):
        parts = pathlib.PurePosixPath(group).parts
        for depth in range(len(parts), -1, -1):
            folder = base.joinpath(mount, *parts[:depth])
            words = read(folder / "cpu.max")
            if not words:
                words = read(folder / "cpu.cfs_quota_us") + read(folder / "cpu.cfs_period_us")
            if len(words) == 2:
                limits.append(_quota(*words))
    return min((n for n in limits if n is not None), default=None)


_cgroup_limit = _cgroup_cpus()


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Number of threads that a call with ``workers=None`` may use.

    The number of the innermost ``num_threads`` block, else of ``set_num_threads`` or ``FASTCONV_NUM_THREADS``, else the
    OpenMP limit of the calling thread (``OMP_NUM_THREADS``, threadpoolctl), capped by CPU affinity and cgroup quota.

    Returns
    -------
    int
        At least 1; 1 in a forked child and in a build without OpenMP.
    """
    if _runtime.forked() or not _runtime.openmp_version():
        return 1
    wanted = _context.get() or _chosen
    if wanted is not None:
        return wanted
    limit = min(_runtime.openmp_limit(), _affinity())
    return max(1, limit if _cgroup_limit is None else min(limit, _cgroup_limit))


def set_num_threads(n: int | None) -> None:
    """Set how many threads calls with ``workers=None`` use, in the whole process.

    Parameters
    ----------
    n : int or None
        Number of threads, at least 1. None returns to the OpenMP limit.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer or None.
    """
    global _chosen
    _chosen = None if n is None else _threads(n)


def num_threads(n: int) -> contextlib.AbstractContextManager[None]:
    """Use `n` threads within a ``with`` block, in the current thread of Python only.

    Parameters
    ----------
    n : int
        Number of threads, at least 1.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer.
    """
    return _use_threads(_threads(n))


@contextlib.contextmanager
def _use_threads(n: int) -> Iterator[None]:
    token = _context.set(n)
    try:
        yield
    finally:
        _context.reset(token)


def isa() -> str:
    """Name of the instruction set whose kernels run now, one of `available_isas`.

    Returns
    -------
    str
    """
    return _runtime.selected()


def available_isas() -> list[str]:
    """Names of the instruction sets that this build has and this machine can run, the best first.

    Returns
    -------
    list of str
    """
    return _runtime.available()


def use_isa(name: str) -> contextlib.AbstractContextManager[None]:
    """Run the kernels of another instruction set within a ``with`` block, for tests and benchmarks.

    The choice holds for the whole process: do not use it while other threads compute.

    Parameters
    ----------
    name : str
        One of `available_isas`.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError, ValueError
        If this machine or build does not have it.
    """
    _args.choice("name", name, dict.fromkeys(available_isas()))
    return _use_isa(name)


@contextlib.contextmanager
def _use_isa(name: str) -> Iterator[None]:
    before = _runtime.selected()
    _runtime.select(name)
    try:
        yield
    finally:
        _runtime.select(before)


def seams() -> dict[str, int]:
    """Return the constants at which drivers and faces change their way, as ``{"stem.NAME": value}``.

    Returns
    -------
    dict of str to int
        Sizes of blocks, numbers below which another way is taken, and their kin.
    """
    return _runtime.seams()


def use_seams(values: Mapping[str, int]) -> contextlib.AbstractContextManager[None]:
    """Change constants of `seams` within a ``with`` block, so that tests cross with small arrays what large ones cross.

    They hold for the whole process: do not use it while other threads compute. Any positive value gives right results, slowly.

    Parameters
    ----------
    values : mapping of str to int
        Names of `seams` and their values, at least 1.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError, ValueError
        For names that `seams` does not have, and values that are not positive integers.
    """
    known = seams()
    for name, value in values.items():
        _args.choice("name of a seam", name, known)
        _args.integer(name, value, 1, "a positive integer")
    return _use_seams(dict(values))


@contextlib.contextmanager
def _use_seams(values: dict[str, int]) -> Iterator[None]:
    before = {name: value for name, value in seams().items() if name in values}
    _runtime.set_seams(values)
    try:
        yield
    finally:
        _runtime.set_seams(before)


def _config() -> dict[str, str]:
    import numpy

    date = _runtime.openmp_version()
    return {
        "fastconv": __version__,
        "isa": f"{isa()}{' with VNNI' if _runtime.dot() else ''} (available: {', '.join(available_isas())})",
        "threads": str(get_num_threads()),
        "openmp": f"yes ({date})" if date else "no: built without OpenMP, every call runs on one thread",
        "compiler": _runtime.compiler(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def show_config() -> None:
    """Print version, instruction set, threads, compiler and OpenMP; ``python -m fastconv.runtime`` does the same.

    Returns
    -------
    None
    """
    for key, value in _config().items():
        print(f"{key:9} {value}")


def _stack_bytes(environment: Mapping[str, str]) -> int:
    """Bytes of stack that the environment gives OpenMP's threads, 0 where it leaves that to the system."""
    text = (environment.get("OMP_STACKSIZE") or environment.get("GOMP_STACKSIZE") or "").strip().upper()
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("B", "K", "M", "G") else (text, "K")
    return int(number) << 10 * "BKMG".index(unit) if number.strip().isdecimal() else 0


def _start() -> None:
    """Read the environment and pick the kernels, at import."""
    global _chosen
    names = available_isas()
    if not names:
        raise ImportError("fastconv was built without kernels for this machine: build it here, with FASTCONV_PORTABLE=1")
    wanted = os.environ.get("FASTCONV_ISA") or names[0]
    if wanted not in names:
        raise ImportError(f"FASTCONV_ISA must be one of {', '.join(names)} on this machine, got {wanted!r}")
    _runtime.select(wanted)
    threads = os.environ.get("FASTCONV_NUM_THREADS")
    if threads:
        if not threads.isdecimal() or not 1 <= int(threads) <= _args.MOST_THREADS:
            raise ImportError(f"FASTCONV_NUM_THREADS must be {_THREADS}, got {threads!r}")
        _chosen = int(threads)
    _runtime.set_stack(_stack_bytes(os.environ))
    _runtime.set_limit(get_num_threads)


_start()
