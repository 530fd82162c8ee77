"""Arrows point down only: faces, what they share, drivers, kernels; and stems do not know each other."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "fastconv"
STEMS = ("conv", "contraction", "distance", "neighborhood")
FACES = {stem: stem for stem in STEMS} | {"gradients": "conv"}  # and the stems whose drivers they call
OTHERS = ("ndimage", "patch.py")  # other people's names
SHARED = {"runtime", "common", "base", "table"}  # modules of _drivers that all stems may use
pytestmark = pytest.mark.skipif(not (SOURCES / "kernels").exists(), reason="needs the sources, which are not beside the tests")


def imports(text, package):
    """Return the dotted names below fastconv that a module of `package` imports or cimports."""
    found = set()
    pattern = r"(?m)^\s*(?:from\s+(\.*)([\w.]*)\s+c?import\s+(\([^)]*\)|[^\n#]*)|c?import\s+(fastconv[\w.]*))"
    for dots, module, names, plain in re.findall(pattern, text):
        parts = package.split(".")[: len(package.split(".")) + 1 - len(dots)] if dots else []
        whole = plain or ".".join([*parts, *filter(None, [module])])
        if whole.split(".")[0] == "fastconv":
            found |= {f"{whole}.{name}" for name in re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?:,|\)|$)", names)} or {whole}
    return {name.removeprefix("fastconv.") for name in found}


def wrong_import(file, name):
    """Whether the module in `file`, a path below fastconv, must not import `name`."""
    floor, parts = file.parts[0], name.split(".")
    if floor == "_drivers":
        stem = file.parts[1] if len(file.parts) > 2 else None
        if file.name == "table.pxd" and stem is None:  # the table of tables
            return parts[0] != "_drivers"
        return parts[0] != "_drivers" or not (parts[1] in SHARED or parts[1] == stem)
    if floor == "_face":
        return parts[0] not in ("_face", "_drivers", "_version")
    if floor == "runtime":
        return parts[0] not in ("_face", "_version", "runtime") and parts[:2] != ["_drivers", "runtime"]
    if file.stem in FACES:
        return parts[0] not in ("_face", "runtime") and not (parts[0] == "_drivers" and parts[1] in {FACES[file.stem], "runtime"})
    if floor in OTHERS:  # which stand on the faces
        return parts[0] in {"_drivers", "dask", "patch", "torch"} - {file.stem} and parts[:2] != ["_drivers", "runtime"]
    return False


def wrong_lines(file, text):
    """Return what a kernel must not include or call."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    included = re.findall(r'#include ["<]([^">]+)[">]', text)
    wrong = [name for name in included if "/" in name and name.split("/")[0] not in ("base", file.parts[0])]
    if file.parts[0] in ("table.h", "dispatch.c"):  # the table of tables
        wrong = []
    wrong += [name for name in included if name in ("Python.h", "stdlib.h", "omp.h", "pthread.h", "numpy/arrayobject.h")]
    wrong += re.findall(r"\b(?:malloc|calloc|realloc|free|printf|Py[A-Z]\w+)\s*\(", text)
    if str(file) not in ("base/simd.h", "base/products.h"):
        wrong += re.findall(r"\b_mm\w+\(|\b__builtin_ia32\w+|\bv(?:ld|st)1\w+\(|\b__(?:AVX|SSE|ARM)\w*", text)
    return wrong


def test_arrows_of_imports():
    wrong = []
    for path in (path for pattern in ("*.py", "*.pyx", "*.pxd") for path in sorted(SOURCES.rglob(pattern))):
        file = path.relative_to(SOURCES)
        package = ".".join(("fastconv", *file.parts[:-1]))
        wrong += [f"{file}: {name}" for name in sorted(imports(path.read_text(), package)) if wrong_import(file, name)]
    assert wrong == []


def test_kernels_know_no_python_and_no_other_stem():
    kernels = SOURCES / "kernels"
    paths = sorted(kernels.rglob("*.[ch]"))
    assert [f"{p.relative_to(kernels)}: {w}" for p in paths for w in wrong_lines(p.relative_to(kernels), p.read_text())] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("_drivers/conv/run.pyx", "from fastconv.conv import conv2d"),
        ("_drivers/conv/run.pyx", "from fastconv._face import args"),
        ("_drivers/conv/run.pyx", "from fastconv._drivers.distance.table cimport (\n    fc_pairs,\n)"),
        ("_drivers/runtime.pyx", "from fastconv._drivers.conv.table cimport fc_conv"),
        ("_face/args.py", "from ..conv import conv2d"),
        ("_face/args.py", "from .. import conv"),
        ("conv.py", "from ._drivers.distance import pairs as _pairs"),
        ("conv.py", "from .distance import cdist"),
        ("runtime/__init__.py", "from .._drivers.conv import run"),
        ("ndimage/_ranks.py", "from .._drivers.neighborhood import ranks"),
        ("ndimage/_ranks.py", "from ..patch import patch_scipy"),
        ("patch.py", "from ._drivers.distance import pairs"),
    ],
)
def test_a_wrong_import_is_found(file, text):
    file = Path(file)
    package = ".".join(("fastconv", *file.parts[:-1]))
    assert [name for name in imports(text, package) if wrong_import(file, name)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("conv/conv.h", '#include "distance/points.h"'),
        ("base/tile.h", '#include "conv/table.h"'),
        ("conv/conv.h", "#include <Python.h>"),
        ("conv/conv.h", "x = malloc(3);"),
        ("conv/conv.h", "#ifdef __AVX512F__"),
        ("distance/sums.h", "y = _mm512_add_ps(a, b);"),
    ],
)
def test_a_wrong_line_of_a_kernel_is_found(file, text):
    assert wrong_lines(Path(file), text)


def test_the_map_of_the_kernels_names_files_that_exist():
    text = (SOURCES / "kernels" / "README.md").read_text()
    names = set(re.findall(r"`([\w/]+\.(?:h|c|pyx|pxd|py|def))`", text))
    files = [*SOURCES.rglob("*.*"), *(SOURCES.parent / "tests").rglob("*.py")]
    roots = (SOURCES.parent, SOURCES, SOURCES / "kernels")
    known = {file.relative_to(root).as_posix() for file in files for root in roots if file.is_relative_to(root)}
    known |= {file.name for file in files} | {"setup.py"}
    assert len(names) > 40
    assert sorted(names - known) == []
