"""Every constant at which drivers, faces or kernels change their way is crossed by a test, or listed with the reason why not.

Each tests/test_<stem>_seams.py begins with CROSSED: {"conv.BLOCK_PIXELS": name of a test, "conv/conv.h:STRIP": name of a test}, a
seam of `fastconv.runtime.seams` or a constant of compilation as "file:NAME".
"""

import ast
import importlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import runtime
from support import has_openmp, run_script

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "fastconv"
sources = pytest.mark.skipif(
    not (SOURCES / "_drivers/runtime.pyx").exists(), reason="needs the sources, which are not beside the tests"
)

CROSSED = {
    "runtime.SERIAL_WORK": "test_serial_work_is_where_teams_begin",
    "runtime.ALIGNED_BYTES": "test_results_from_aligned_bytes_on_begin_on_a_cache_line",
    "neighborhood/lines.h:FC_WIDE": "test_results_of_another_dtype_are_written_in_chunks",
}

# Constants that change no way, by the reason.
REASONS = {
    "a label or a bit of one": """
        base/elements.h:OWN isa.h:FC_ELEMENT base/table.h:FC_KINDS neighborhood/table.h:FC_LINE_MASKED
        neighborhood/table.h:FC_LINE_MINUS neighborhood/table.h:FC_LINE_NAN neighborhood/engine.pxd:IN_PLACE
        base/table.h:FC_NEAREST_WHOLE neighborhood/table.h:FC_OP_MAX neighborhood/table.h:FC_OP_MIN
        neighborhood/table.h:FC_OP_NAN base/table.h:FC_SWAPPED base/table.h:FC_TRUTH base/table.h:FC_U8""",
    "what a type or an instruction set is": """
        neighborhood/neighborhood.h:FC_IS_FLOAT neighborhood/ranks.h:FC_AS_KEYS neighborhood/ranks.h:FC_IS_FLOAT
        base/simd.h:BIAS base/simd.h:FC_REGISTERS base/simd.h:FC_SLIDES base/simd.h:FC_VEC_BYTES base/simd.h:MANTISSA
        neighborhood/box_sums_wide.h:LANES neighborhood/box_parts.h:HALVES
        neighborhood/box_sums_wide.h:UNIT neighborhood/box_sums_wide.h:BLOCK neighborhood/box_sums.h:LANES
        neighborhood/box_sums.h:UNIT neighborhood/box_sums.h:BLOCK neighborhood/box_sums.h:STRIP
        neighborhood/box_sums.h:WIDE neighborhood/weights.h:FC_C_WHOLE
        neighborhood/table.h:FC_FLOOD_BITS
        neighborhood/weights_body.h:ITEM neighborhood/weights_body.h:STEP""",
    "room after a line or a result, which vectors may touch": """
        neighborhood/table.h:FC_LINE_SLACK neighborhood/engine.pyx:VECTOR neighborhood/bits.pyx:VECTOR""",
    "registers of an unrolled loop, whose sizes the tests of lanes cross": """
        contraction/vectors.h:M conv/planes.h:R base/table.h:FC_MAX_VECTORS base/limits.h:CHAINS
        conv/split_tile.h:SPLIT neighborhood/box_sums_wide.h:MOST""",
    "terms of a polynomial": "distance/powers.h:TERMS",
    "a number of a formula, see test_conv_fft": """
        conv/fourier.h:FC_FOURIER_STEP conv/fourier.h:FC_FOURIER_DEVIATION conv/fourier.h:FC_SQRT_HALF conv/run.pyx:WIDE_UNITS""",
    "a number of a formula, see test_conv_winograd": """
        conv/winograd.h:FC_A conv/winograd.h:FC_B conv/winograd.h:FC_WINOGRAD_DEVIATION
        conv/winograd.h:FC_WINOGRAD_ALIKE""",
    "when memory is asked for in advance, which changes no result": """
        distance/distance.h:FC_PREFETCHES conv/turn.h:TURN_AHEAD""",
    "the dimension of an array": """
        contraction/table.h:FC_MAX_RUNS base/table.h:FC_MAX_LANES conv/table.h:FC_MOST_SUMS conv/table.h:FC_PLANAR_VECTORS
        conv/table.h:FC_WINOGRAD_POINTS conv/table.h:FC_FOURIER_LEAST conv/table.h:FC_FOURIER_MOST
        conv/plan.pxd:MAX_LEAD conv/plan.pxd:MAX_LEVELS
        distance/plan.pxd:MAX_LEAD neighborhood/engine.pxd:AXES neighborhood/box_plan.pxd:ONE neighborhood/box_plan.pxd:SPARE
        distance/table.h:FC_MEASURES neighborhood/table.h:FC_SELECT_ROOM neighborhood/table.h:FC_SUM_AREAS
        neighborhood/rank_networks.h:ROOM
        neighborhood/networks.h:FC_COMPARATORS neighborhood/weights.pyx:MOST_PARTS""",
    "a limit beyond which an error is raised, see test_args and test_bad_input": """
        distance.py:_MOST_AXES args.py:MOST_PIXELS args.py:MOST_THREADS""",
    "a limit beyond which functions are called, see test_functions_called": """
        compile.py:_MOST_STEPS program.py:_MOST_STEPS trace.py:_MOST_CELLS
        neighborhood/table.h:FC_MOST_WIRES""",
    "time between two looks at signals, see the tests of Ctrl-C": """
        neighborhood/calls.pyx:ROUND_SECONDS runtime.pyx:LOOK_SECONDS conv/fourier.pyx:TRANSFORM_WORK
        conv/fourier.pyx:STORE_WORK""",
    "the size of a cache line": "args.py:LINE_BYTES",
}
NOT_SEAMS = {name for names in REASONS.values() for name in names.split()}


# --- What the lists say


def crossed():
    """Return [(seam or "file:NAME", test, list it stands on)] of all lists."""
    paths = [*sorted(TESTS.rglob("test_*seams.py")), *sorted(TESTS.rglob("test_functions_*.py"))]
    lists = [importlib.import_module(path.stem) for path in paths]
    return [(name, test, module.__name__) for module in lists for name, test in getattr(module, "CROSSED", {}).items()]


def test_each_seam_is_on_one_list():
    listed = [name for name, _, _ in crossed() if ":" not in name]
    assert sorted(set(runtime.seams()) - set(listed)) == [], "seams on no list"
    assert sorted(set(listed) - set(runtime.seams())) == [], "no seams of the library"
    assert sorted(name for name in set(listed) if listed.count(name) > 1) == [], "on two lists"


def test_tests_on_the_lists_exist():
    functions = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert [(name, test) for name, test, _ in crossed() if not (test.startswith("test_") and test in functions)] == []


# --- What the sources say


def driver_constants(text):
    """Return ({name of a constant}, {those that are seams}) of a .pyx or .pxd."""
    text = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)
    found = set()
    for block in re.findall(r"(?m)^cdef enum[^\n]*:([^\n]*(?:\n[ \t]+[^\n]*|\n[ \t]*(?=\n))*)", text):
        found |= set(re.findall(r"\b([A-Z][A-Z0-9_]*)\s*=", block))
    for line in re.findall(r"(?m)^cdef (?:idx|int|long|double|float|ptrdiff_t|Py_ssize_t|size_t) ([A-Z][A-Z0-9_]*\s*=.*)$", text):
        found |= set(re.findall(r"\b([A-Z][A-Z0-9_]*)\s*=", line))
    return found, set(re.findall(r'\bseam\("[^"]+",\s*&(\w+)\)', text))


def is_number(node):
    """Whether an expression is made of numbers alone."""
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def face_constants(text):
    """Return the same of a .py."""
    tree = ast.parse(text)
    found = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and is_number(node.value)
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z][A-Z0-9_]*", target.id)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [node for node in calls if getattr(node.func, "attr", getattr(node.func, "id", None)) == "face_seams"]
    return found, {argument.value for call in calls for argument in call.args[2:]}


def kernel_constants(text):
    """Return the same of a .h or .c, which has no seams."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    found = set(re.findall(r"(?m)^\s*#define (FC_[A-Z0-9_]+) +\(?-?\d", text))
    for block in re.findall(r"\benum\s*\w*\s*\{([^}]*)\}", text):
        found |= set(re.findall(r"\b(?:FC_N\()?([A-Z][A-Z0-9_]*)\)?\s*=(?!=)", block))
    return found, set()


def constants():
    """Return {"file:NAME" of a constant: whether it is a seam}."""
    kinds = {"*.pyx": driver_constants, "*.pxd": driver_constants, "*.py": face_constants, "*.[ch]": kernel_constants}
    found = {}
    for pattern, read in kinds.items():
        for path in sorted(SOURCES.rglob(pattern)):
            if path.name == "__main__.py" or (path.suffix == ".c" and path.is_relative_to(SOURCES / "_drivers")):
                continue  # the tour; what Cython makes
            names, seams = read(path.read_text())
            file = str(path.relative_to(SOURCES)).removeprefix("_drivers/").removeprefix("_face/").removeprefix("kernels/")
            found |= {f"{file}:{name}": name in seams for name in names}
    return found


@sources
def test_each_constant_is_a_seam_or_on_a_list():
    listed = {name for name, _, _ in crossed()}
    assert sorted(name for name, seam in constants().items() if not seam and name not in listed | NOT_SEAMS) == []


@sources
def test_constants_on_the_lists_exist():
    listed = [name for name, _, _ in crossed() if ":" in name]
    seams = {name for name, seam in constants().items() if seam}
    assert sorted(set(listed) - set(constants())) == [], "no constants of the sources"
    assert sorted(NOT_SEAMS - set(constants())) == [], "no constants of the sources"
    assert sorted({*listed, *NOT_SEAMS} & seams) == [], "seams have another name"
    assert sorted(set(listed) & NOT_SEAMS) == [], "crossed, and said to be no seams"


def test_constants_are_found():
    """The readers above know each way in which a constant is written."""
    driver = """
cdef enum:
    BLOCK = 32          # a comment with OTHER = 5

    FAR = 1 << 12
cdef enum Way:
    FIRST, SECOND
cdef idx ROWS = 16, COLUMNS = 4   # why
cdef double SECONDS = 0.05
cdef idx later
seam("conv.LINES", &ROWS)
def f():
    cdef idx LOCAL = 4
"""
    assert driver_constants(driver) == ({"BLOCK", "FAR", "ROWS", "COLUMNS", "SECONDS"}, {"ROWS"})
    face = "_A = 1 << 20  # why\nB = -2.5\n_NAMES = {}\nlower = 3\n_C = 7\n_runtime.face_seams('x', globals(), '_A', '_C')\n"
    assert face_constants(face) == ({"_A", "B", "_C"}, {"_A", "_C"})
    kernel = """
#define FC_CHAIN 16 /* FC_NOT = 3 */
#define FC_LANES ((int)(FC_VEC_BYTES / sizeof(FC_T)))
enum { FC_LINEAR, FC_RELU };
enum { FC_N(STRIP) = 64, FC_N(WIDE) = FC_REGISTERS == 32 ? 4 : 2 };
static void f(void) { enum { M = 4 }; if (M == 4) ; }
"""
    assert kernel_constants(kernel) == ({"FC_CHAIN", "STRIP", "WIDE", "M"}, set())


# --- The seams of the runtime


@pytest.mark.skipif(not has_openmp() or not os.path.isdir("/proc/self/task"), reason="needs OpenMP and the /proc of Linux")
def test_serial_work_is_where_teams_begin(tmp_path):
    """One multiply-add less, as many and one more than the seam says, by each of the ways that a call asks for a team."""
    script = """
        import fastconv, fastconv.runtime
        x, w = np.ones((8, 10, 10, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)
        work = 8 * 8 * 8 * 6 * 9 * 4
        for limit in (work + 1, work, work - 1, 1):
            with fastconv.runtime.use_seams({"runtime.SERIAL_WORK": limit}), fastconv.num_threads(3):
                same = np.array_equal(fastconv.conv2d(x, w), np.full((8, 8, 8, 6), 36))
                print(count_tasks(), same)
    """
    assert run_script(script, cwd=tmp_path) == ["1 True", "3 True", "3 True", "3 True"]


@pytest.mark.parametrize("source", ["u1", "i8", "f4", "f8"])
def test_results_of_another_dtype_are_written_in_chunks(isa, rng, source):
    for n in (1, 127, 128, 129, 255, 256, 257, 400):
        x = rng.integers(0, 100, n).astype(source)
        for dtype in ("u1", "i2", "i8", "f2", "f4", "f8", "?"):
            result = fastconv.neighborhood_reduce(x, "max", 1, dtype=dtype)
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, x.astype(dtype))


@pytest.mark.parametrize("aligned", [1, 8 * 60, 8 * 60 + 1])
def test_results_from_aligned_bytes_on_begin_on_a_cache_line(aligned):
    with runtime.use_seams({"runtime.ALIGNED_BYTES": aligned}):
        for n in (1, 3, 59, 60, 61, 200):
            for dtype in (np.float16, np.float32, np.float64):
                x = np.arange(n, dtype=dtype)
                result = fastconv.neighborhood_reduce(x, "max", 1)
                np.testing.assert_array_equal(result, x)
                assert result.nbytes < aligned or result.ctypes.data % 64 == 0
