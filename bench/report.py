"""Checking, timing, tables and summaries: everything between a case and the numbers that are printed."""

import gc
import importlib
import math
import multiprocessing
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np

import fastconv.ndimage
from fastconv._drivers import runtime as _runtime
from fastconv.patch import patch_scipy

from . import peers
from .peer import library

MIB = 2**20
SHORTEST_SAMPLE = 200e-6  # seconds; shorter calls are repeated inside one sample
SETTLE = 0.02  # seconds of untimed calls (a pause, if a call is long) before a sample: threads of the one before still spin
SETTLE_BLAS = 0.15  # the same where a BLAS as NumPy's is among the peers: its threads spin for a tenth of a second
SLOW = 0.5  # seconds; a call longer than this is timed in the first rounds only
SLOW_ROUNDS = 3


@dataclass(frozen=True)
class Budget:
    """How long to measure: rounds and seconds for each case, seconds for each peak and rate."""

    rounds: int = 11
    seconds: float = 0.3
    peak_seconds: float = 0.2


class WrongResult(Exception):
    """Our result is not the peer's."""


# --- checking and timing


def operation(op):
    """(the function that a case names, what makes the context in which it is ours): scikit-image's run with SciPy patched."""
    if not op.startswith("skimage."):
        return attrgetter(op)(fastconv), nullcontext
    module, _, name = op.rpartition(".")
    return getattr(importlib.import_module(module), name), patch_scipy


def answer(result):
    """The array that is compared: the first of several."""
    return result[0] if isinstance(result, (tuple, list)) else result


def check(ours, theirs, tolerance, name):
    """Raise WrongResult unless the arrays agree to `tolerance` of the largest value (0: equal)."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        raise WrongResult(f"ours is {ours.shape} {ours.dtype}, {name} gives {theirs.shape} {theirs.dtype}")
    if ours.dtype.kind in "bu":
        ours, theirs = ours.astype(np.int64), theirs.astype(np.int64)
    error = np.abs(ours - theirs).max(initial=0.0)
    allowed = tolerance * np.abs(theirs).max(initial=0.0)
    if not error <= allowed:  # NaN is wrong too
        raise WrongResult(f"differs from {name} by {error:.3g}, allowed is {allowed:.3g}")


def sample(call, loops):
    """Seconds of one call, averaged over `loops` calls in a row."""
    start = time.perf_counter()
    for _ in repeat(None, loops):
        call()
    return (time.perf_counter() - start) / loops


def interleave(calls, budget, ours_within=nullcontext):
    """Time several calls in turn.

    Parameters
    ----------
    calls : dict of name to function.
    budget : Budget.
    ours_within : makes the context for the calls of "ours"; what it takes to enter and leave is not timed.

    Returns
    -------
    dict of name to the list of its samples, in seconds.
    """
    length = max(SHORTEST_SAMPLE, budget.seconds / (budget.rounds * len(calls)))
    estimate, loops = {}, {}
    within = dict.fromkeys(calls, nullcontext) | {"ours": ours_within}
    for name, call in calls.items():
        with within[name]():
            estimate[name] = min(sample(call, 1) for _ in range(4))  # also warms up
        loops[name] = max(1, math.ceil(length / max(estimate[name], 1e-7)))
    samples = {name: [] for name in calls}
    order = list(calls)
    settle = SETTLE_BLAS if any(name.startswith(("numpy", "sklearn")) for name in calls) else SETTLE
    gc.collect()
    gc.disable()
    try:
        for i in range(budget.rounds):
            for name in order:
                if estimate[name] > SLOW and i >= SLOW_ROUNDS:
                    continue
                with within[name]():
                    settled = time.perf_counter() + settle
                    if estimate[name] >= SLOW / 10:
                        time.sleep(settle)
                    while time.perf_counter() < settled:
                        calls[name]()
                    samples[name].append(sample(calls[name], loops[name]))
            order.append(order.pop(0))
    finally:
        gc.enable()
    return samples


def measure_memory(case, threads, isa):
    """Bytes that the first call of `case` takes beyond input and output. Run it in a fresh process."""
    args, kwargs = case.setup()
    function = attrgetter(case.op)(fastconv)
    with fastconv.use_isa(isa), fastconv.num_threads(threads):
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        result = function(*args, **kwargs)
        size = sum(array.nbytes for array in (result if isinstance(result, tuple) else (result,)))
        resident = _status("VmHWM") - before - size
        del result
        tracemalloc.start()
        function(*args, **kwargs)
        traced = tracemalloc.get_traced_memory()[1] - size
        tracemalloc.stop()
    return max(resident, traced, 0)


def _status(field):
    """A field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


# --- one case


class Peaks:
    """FMA peaks in GFLOP/s: the best seen for each instruction set, dtype and number of threads."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.best = {}

    def measure(self, dtype, threads):
        """Measure on the current instruction set and return the best so far."""
        time.sleep(SETTLE)
        key = fastconv.isa(), dtype, threads
        self.best[key] = max(self.best.get(key, 0.0), _runtime.fma_rate(dtype, self.seconds, threads))
        return self.best[key]

    def get(self, dtype, threads):
        """The best so far, measured if there is none."""
        return self.best.get((fastconv.isa(), dtype, threads)) or self.measure(dtype, threads)


def run_case(case, found, threads, isa, judge, budget, peaks):
    """Check, time and, if `judge`, compare one case with its targets.

    Returns
    -------
    dict, the row as it goes to the table and the JSON file. "value" is what the target is compared with.
    """
    row = {
        "group": case.group, "family": case.family, "label": case.label, "dtype": case.dtype, "isa": isa,
        "threads": threads, "against": case.against, "target": case.target if judge else None,
        "geomean_target": case.geomean if judge else None,
        "seconds": {}, "samples": {}, "checked": [], "value": None, "reached": None, "error": None,
    }  # fmt: skip
    try:
        if case.against == "memory":
            _run_memory(case, threads, isa, row)
        else:
            with fastconv.use_isa(isa), fastconv.num_threads(threads):
                _run_speed(case, found, threads, budget, peaks, row)
    except Exception as error:  # a row that fails must not take the others with it
        row["error"] = f"{type(error).__name__}: {error}"
    return row


def _run_memory(case, threads, isa, row):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        row["value"] = pool.submit(measure_memory, case, threads, isa).result() / MIB
    row["target"] = 16 + 4 * threads
    row["reached"] = row["value"] <= row["target"]


def _run_speed(case, found, threads, budget, peaks, row):
    args, kwargs = case.setup()
    function, within = operation(case.op)
    ours = partial(function, *args, **kwargs)
    with within():
        calls, shares, result = {"ours": ours}, {"ours": 1.0}, answer(ours())
    size = result.nbytes
    for name in case.peers:
        if library(name) in found:
            peer = peers.ready(name, case.op, args, kwargs)
            check(result[peer.part], peer.to_numpy(peer.call()), case.tolerance, name)
            calls[name], shares[name] = peer.call, peer.share
            row["checked"].append(name)
    del result
    if case.against == "peak":
        peaks.measure(case.dtype, threads)
    if case.against == "read":
        row["read"] = _runtime.read_rate(budget.peak_seconds, threads)
    row["samples"] = {
        name: [seconds / shares[name] for seconds in values]
        for name, values in interleave(calls, budget, within).items()
    }
    row["seconds"] = seconds = {name: median(values) for name, values in row["samples"].items()}
    if case.flops:
        row["gflops"] = case.flops / seconds["ours"] / 1e9
        peak = (peaks.measure if case.against == "peak" else peaks.get)(case.dtype, threads)
        if row["gflops"] > peak:  # Winograd's and Fourier's methods may be so fast; or the peak was measured in a bad moment
            peak = peaks.measure(case.dtype, threads)
        row["peak_gflops"], row["of_peak"] = peak, row["gflops"] / peak
    others = {name: value for name, value in seconds.items() if name != "ours"}
    if others:
        row["best_peer"] = min(others, key=others.get)
    if case.against == "peak":
        row["value"] = row["of_peak"]
    elif case.against == "write":
        row["value"] = size / seconds["ours"] / 1e9 / _runtime.write_rate(budget.peak_seconds, threads)
    elif case.against == "read":
        row["read"] = max(row["read"], _runtime.read_rate(budget.peak_seconds, threads))
        row["value"] = case.traffic / seconds["ours"] / 1e9 / row["read"]
    else:
        rival = row.get("best_peer") if case.against == "best peer" else case.against
        if rival in others:
            row["value"] = others[rival] / seconds["ours"]
    complete = case.against != "best peer" or len(others) == len(case.peers)
    if complete and row["target"] is not None and row["value"] is not None:
        row["reached"] = row["value"] >= row["target"]


# --- tables


def time_text(seconds):
    """Three digits and a unit; nothing for None."""
    if seconds is None:
        return ""
    unit, factor = ("s", 1) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("us", 1e6)
    value = seconds * factor
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def value_text(value, against):
    """A ratio, a part of the peak or MiB, whichever the row is about."""
    if value is None:
        return ""
    if against in ("peak", "read", "write"):
        return f"{value:.1%}"
    return f"{value:.1f} MiB" if against == "memory" else f"{value:.2f}x"


def header_text(names):
    """The head of the table with one column for each peer."""
    columns = "".join(f"{name:>18}" for name in ("ours", *names))
    return f"  {'case':32} {'dtype':8}{columns}{'value':>10}{'reach':>10}       {'GFLOP/s':>9}{'peak':>6}"


def row_text(row, names):
    """One line of the table."""
    start = f"  {row['label']:32} {row['dtype']:8}"
    if row["error"]:
        return f"{start}  **** FAILED **** {row['error']}"
    columns = "".join(f"{time_text(row['seconds'].get(name)):>12}" for name in ("ours", *names))
    value = value_text(row["value"], row["against"])
    reach = value_text(row["target"], row["against"])
    verdict = {None: "", True: "ok", False: "MISS"}[row["reached"]]
    rate = f"{row['gflops']:9.1f}{row['of_peak']:6.0%}" if "gflops" in row else ""
    notes = "" if row["checked"] or row["against"] == "memory" else "  (no peer: not checked)"
    return f"{start}{columns}{value:>10}{reach:>10}  {verdict:5}{rate}{notes}".rstrip()


def summarise(rows, sizes):
    """Extremes, geometric mean and targets reached, for each family, instruction set and number of threads.

    `sizes` holds the number of rows that a whole family has: the mean of a part of it is not judged.
    """
    families = {}
    for row in rows:
        families.setdefault((row["isa"], row["threads"], row["family"]), []).append(row)
    summary = []
    for (isa, threads, family), members in families.items():
        values = [row["value"] for row in members if row["value"] is not None]
        entry = {
            "family": family, "isa": isa, "threads": threads, "against": members[0]["against"],
            "rows": len(members), "measured": len(values),
            "judged": sum(row["reached"] is not None for row in members),
            "reached": sum(row["reached"] is True for row in members),
            "failed": sum(row["error"] is not None for row in members),
            "min": min(values, default=None), "max": max(values, default=None),
            "geomean": geometric_mean(values) if values and min(values) > 0 else None,
            "geomean_target": members[0]["geomean_target"], "geomean_reached": None,
        }  # fmt: skip
        if entry["geomean_target"] and entry["geomean"] and entry["judged"] == sizes[family]:
            entry["geomean_reached"] = entry["geomean"] >= entry["geomean_target"]
        summary.append(entry)
    return summary


def summary_text(entry):
    """One line of the summary."""
    text = f"  {entry['family']}, {entry['isa']}, {entry['threads']} threads: "
    if not entry["measured"]:
        text += "nothing measured"
    elif entry["against"] == "memory":
        text += f"max {value_text(entry['max'], 'memory')}"
    else:
        text += f"min {value_text(entry['min'], entry['against'])}"
        if entry["measured"] > 1 and entry["against"] not in ("peak", "read", "write"):
            text += f", geomean {entry['geomean']:.2f}x"
        if entry["geomean_target"]:
            verdict = {None: "not judged", True: "ok", False: "MISS"}[entry["geomean_reached"]]
            text += f" (reach {entry['geomean_target']:.2f}x: {verdict})"
    if entry["judged"]:
        text += f"; {entry['reached']} of {entry['judged']} rows reach their target"
        text += "" if entry["reached"] == entry["judged"] else " - MISS"
    if entry["failed"]:
        text += f"; {entry['failed']} FAILED"
    return text
