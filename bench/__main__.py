"""Command line of the benchmarks: `python -m bench [GROUP...]`."""

import argparse
import contextlib
import io
import json
import platform
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import fastconv
from fastconv._drivers import runtime as _runtime

from . import peers, report
from .cases import CASES
from .peer import find, library, limited

GROUPS = ["limits", *dict.fromkeys(case.group for case in CASES)]


def parse(argv):
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        "python -m bench",
        description="Time fastconv against its peers, in turn, after checking that the results agree.",
    )
    known = list(dict.fromkeys(map(library, peers.PEERS)))
    add = parser.add_argument
    add("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(GROUPS)} (default: all)")
    add("--peers", default=known, type=words, help=f"any of {','.join(known)} (default: all)")
    add(
        "--threads",
        type=numbers,
        help="one or more numbers of threads (default: the usable CPUs; limits: 1 and these)",
    )
    add(
        "--isa",
        type=words,
        help="one or more instruction sets, or all (default: the current one; limits: all)",
    )
    add("--match", metavar="TEXT", default="", help="only cases whose family, label and dtype contain TEXT")
    add("--repeat", metavar="N", type=positive, help="rounds for each case (default: 11, quick: 5)")
    add("--quick", action="store_true", help="fewer rounds and shorter samples, for a first look")
    add(
        "--json",
        metavar="FILE",
        help="where the JSON goes (default: bench-GROUP.json here; -: standard output)",
    )
    args = parser.parse_args(argv)
    args.groups = args.groups or GROUPS
    here = list(fastconv.available_isas())
    args.isa = here if args.isa == ["all"] else args.isa
    for what, given, choices in (
        ("group", args.groups, GROUPS),
        ("peer", args.peers, known),
        ("instruction set", args.isa or [], here),
    ):
        for word in given:
            if word not in choices:
                parser.error(f"unknown {what} {word!r}: choose from {', '.join(choices)}")
    args.json = args.json or f"bench-{'-'.join(args.groups)}.json"
    return args


def words(text):
    """Split a comma-separated list."""
    return text.split(",")


def positive(text):
    """Read a number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def numbers(text):
    """Split a comma-separated list of numbers above zero."""
    return [positive(word) for word in words(text)]


class Progress:
    """One line on stderr that says what is running; a terminal's line is overwritten."""

    def __init__(self, total):
        self.total, self.done, self.terminal = total, 0, sys.stderr.isatty()

    def next(self, text):
        """Show the next step."""
        self.done += 1
        line = f"[{self.done}/{self.total}] {text}"
        print(line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def clear(self):
        """Make room for a line of the table."""
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_limits(args, budget, document):
    """Print FMA peak, read and write bandwidth for each instruction set and number of threads."""
    isas = args.isa or fastconv.available_isas()
    threads = args.threads or sorted({1, fastconv.get_num_threads()})
    progress = Progress(len(isas) * len(threads))
    dtypes, seconds = ("float32", "float64"), budget.peak_seconds
    print(
        f"\n  {'limits':14}{'threads':>8}" + "".join(f"{dtype + ' GFLOP/s':>18}" for dtype in dtypes), end=""
    )
    print(f"{'read GB/s':>12}{'write GB/s':>12}")
    for isa in isas:
        for count in threads:
            progress.next(f"limits {isa} {count} threads")
            with fastconv.use_isa(isa):
                row = {dtype: _runtime.fma_rate(dtype, seconds, count) for dtype in dtypes}
                row |= {
                    "read": _runtime.read_rate(seconds, count),
                    "write": _runtime.write_rate(seconds, count),
                }
            progress.clear()
            document["limits"].append({"isa": isa, "threads": count, **row})
            print(f"  {isa:14}{count:8}" + "".join(f"{row[dtype]:18.1f}" for dtype in dtypes), end="")
            print(f"{row['read']:12.1f}{row['write']:12.1f}", flush=True)


def planned(args, group):
    """List (threads, isa, judge, case), and the cases whose instruction set this machine lacks.

    Targets are meant for the instruction set that fastconv picks, or the one a case names.
    """
    cases = [
        case for case in CASES
        if case.group == group and args.match.lower() in f"{case.family} {case.label} {case.dtype}".lower()
    ]  # fmt: skip
    here, current = fastconv.available_isas(), fastconv.isa()
    plan = []
    for threads in args.threads or [fastconv.get_num_threads()]:
        for i, isa in enumerate(args.isa or [current]):
            for case in cases:
                if case.isa is None:
                    plan.append((threads, isa, isa == current, case))
                elif i == 0 and case.isa in here:
                    plan.append((threads, case.isa, True, case))
    return plan, [case for case in cases if case.isa and case.isa not in here]


def run_group(group, args, budget, found, document):
    """Run the cases of a group, print their table and its summary."""
    plan, lacking = planned(args, group)
    names = [
        name for name in peers.PEERS if library(name) in found and any(name in p[3].peers for p in plan)
    ]
    peaks, progress, rows, heading = report.Peaks(budget.peak_seconds), Progress(len(plan)), [], None
    for case in lacking:
        print(f"  left out: {case.family} {case.label}: this machine has no {case.isa}")
    for threads, isa, judge, case in plan:
        progress.next(f"{case.family} {case.label} {case.dtype}")
        with limited(found, threads):
            row = report.run_case(case, found, threads, isa, judge, budget, peaks)
        progress.clear()
        title = f"{case.family}, {isa}, {threads} threads"
        if title != heading:
            print(f"\n{title}\n{report.header_text(names)}")
            heading = title
        print(report.row_text(row, names), flush=True)
        rows.append(row)
        document["rows"].append(row)
    print(f"\nSummary of {group}" if rows else f"\nno case of {group} to run")
    summary = report.summarise(rows, Counter(case.family for case in CASES if case.group == group))
    document["summary"] += summary
    for entry in summary:
        print(report.summary_text(entry))


def run(args):
    """Run what was asked for.

    Returns
    -------
    dict, the whole of the JSON file.
    """
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        fastconv.show_config()
    found, missing = find(args.peers)
    print(shown.getvalue().rstrip())
    print("peers:", ", ".join(f"{name} {version}" for name, version in found.items()) or "none")
    for line in missing:
        print(line)
    budget = report.Budget(5, 0.05, 0.05) if args.quick else report.Budget()
    budget = report.Budget(args.repeat or budget.rounds, budget.seconds, budget.peak_seconds)
    document = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "platform": platform.platform(),
        "python": platform.python_version(), "config": shown.getvalue().splitlines(), "peers": found,
        "missing": missing, "budget": asdict(budget), "match": args.match, "interrupted": False,
        "limits": [], "rows": [], "summary": [],
    }  # fmt: skip
    try:
        for group in args.groups:
            if group == "limits":
                run_limits(args, budget, document)
            else:
                run_group(group, args, budget, found, document)
    except KeyboardInterrupt:
        document["interrupted"] = True
        print("\ninterrupted: what was measured so far is kept")
    return document


def main(argv=None):
    """Run the command line and return its exit status: 1 if a row failed, 130 if interrupted."""
    args = parse(argv)
    with contextlib.redirect_stdout(sys.stderr if args.json == "-" else sys.stdout):
        document = run(args)
    text = json.dumps(document, indent=1)
    if args.json == "-":
        print(text)
    else:
        Path(args.json).write_text(text + "\n")
        print(f"written: {args.json}")
    return 130 if document["interrupted"] else int(any(row["error"] for row in document["rows"]))


if __name__ == "__main__":
    sys.exit(main())
