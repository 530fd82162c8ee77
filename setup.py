"""Builds the kernels for each instruction set, a part at a time on all cores, and the Cython drivers on top; the rest is
in pyproject.toml.

Environment
-----------
FASTCONV_OPENMP : "auto" (default: use OpenMP if a test program builds and links), "on" (fail without it), "off".
FASTCONV_WERROR : if set, warnings in our C are errors (the CI sets it).
FASTCONV_OBJECTS : a folder in which the objects of the kernels stay, for other builds with the same compiler and flags.
FASTCONV_PORTABLE : if set, the portable kernels are built on x86-64, too, where NumPy itself needs x86-64-v2 (the CI sets it).
FASTCONV_SANITIZE : if set, drivers are built under AddressSanitizer and UBSan, and under the former the kernels of the
    instruction set that it names (x86_v3; each takes minutes); .ci/sanitize runs the suite so.
"""
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("fastconv/kernels")
VERSION = Path("fastconv/_version.py")
DRIVERS = Path("fastconv/_drivers")

# No -ffast-math: it reorders sums and, at link time, turns off denormals for the whole process.
C_FLAGS = ["-g0", "-O3", "-std=c11", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
PORTABLE = os.environ.get("FASTCONV_PORTABLE")
SANITIZED = os.environ.get("FASTCONV_SANITIZE")
SANITIZE = ["-fsanitize=address,undefined", "-g1", "-O1"] if SANITIZED else []
WARNINGS = ["-Wall", "-Wextra", "-Werror"] if os.environ.get("FASTCONV_WERROR") else []

# The flags say which instructions; one object for each instruction set and part.
ISA_FLAGS = {
    "x86_64": {
        "x86_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
        "x86_v3": ["-march=x86-64-v3"],
        "x86_v2": ["-march=x86-64-v2"],
    },
    "aarch64": {"neon": []},
}

# (part, stem, header, types) of each line of parts.def.
PARTS = re.findall(r'each\(isa, (\w+), (\w+), ("[^"]+"), (\w+)\)', (KERNELS / "parts.def").read_text())


def machine() -> str:
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


NATIVE = ISA_FLAGS.get(machine(), {})
TABLES = {"portable": ["-O2"], **NATIVE} if PORTABLE or machine() != "x86_64" else NATIVE


def openmp_flags(compiler) -> list[str]:
    """The flag for OpenMP, if a program that uses it compiles, links and runs."""
    wanted = os.environ.get("FASTCONV_OPENMP", "auto").lower()
    if wanted not in ("auto", "on", "off"):
        raise SystemExit(f"FASTCONV_OPENMP must be auto, on or off, got {wanted!r}")
    if wanted == "off":
        return []
    program = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(program)
        try:
            objects = compiler.compile([str(source)], output_dir=folder, extra_postargs=["-fopenmp"])
            compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=["-fopenmp"])
            subprocess.run([str(Path(folder, "probe"))], check=True)
        except Exception as error:
            if wanted == "on":
                raise SystemExit(f"FASTCONV_OPENMP=on, but a program with OpenMP does not build: {error}") from error
            print("fastconv: no OpenMP found, building a serial library", file=sys.stderr)
            return []
    return ["-fopenmp"]


class BuildExt(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            raise SystemExit("fastconv's kernels need GCC or Clang (on Windows: clang-cl or MinGW)")
        openmp = openmp_flags(self.compiler)
        runtime = next(e for e in self.extensions if e.name == "fastconv._drivers.runtime")
        runtime.extra_objects = self.build_kernels()
        for extension in self.extensions:
            extension.extra_compile_args = ["-g0", "-O2", "-fvisibility=hidden", *openmp, *SANITIZE]
            extension.extra_link_args = [*openmp, *SANITIZE]
        super().build_extensions()

    def build_kernels(self) -> list[str]:
        """One object for each instruction set and part: distutils names objects by source alone, so each has its folder."""
        objects = Path(os.environ.get("FASTCONV_OBJECTS", self.build_temp))
        version = subprocess.run([*self.compiler.compiler_so[:1], "--version"], capture_output=True, text=True).stdout
        shared = [*KERNELS.glob("isa*"), *KERNELS.glob("base/*.h"), KERNELS / "parts.def", Path(__file__)]

        def build(source, stem, flags):
            flags = [*C_FLAGS, f"-I{KERNELS}", *WARNINGS, *flags]
            key = hashlib.sha256(repr([self.compiler.compiler_so, version, flags]).encode()).hexdigest()[:16]
            built = objects / key / KERNELS / source.replace(".c", ".o")
            newest = max(path.stat().st_mtime for path in (*shared, *KERNELS.glob(f"{stem}/*.h")))
            if stem and built.exists() and built.stat().st_mtime > newest:
                return [str(built)]
            return self.compiler.compile([str(KERNELS / source)], output_dir=str(objects / key), extra_postargs=flags)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(build, "dispatch.c", None, [] if "portable" in TABLES else ["-DFC_NO_PORTABLE"])]
            for part, stem, header, types in reversed(PARTS):  # the shortest are last, so that no core waits long at the end
                names = [f"-DFC_PART={part}", f"-DFC_STEM={stem}", f"-DFC_HEADER={header}"]
                names += {"REALS": [], "INTEGERS": ["-DFC_INTEGER_TYPE"], "SUMS": ["-DFC_INTEGER_TYPE", "-DFC_SUM_TYPES"]}[types]
                for isa, flags in TABLES.items():
                    sanitize = ["-fsanitize=address", "-g1", "-O1"] if isa == SANITIZED else []
                    jobs.append(pool.submit(build, f"isa_{isa}.c", stem, [*flags, *sanitize, *names]))
            return [name for job in jobs for name in job.result()]


extensions = [
    Extension(
        ".".join(source.with_suffix("").parts),
        [str(source)],
        include_dirs=["fastconv/kernels", numpy.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            ("FASTCONV_VERSION", VERSION.read_text().partition("=")[2].strip()),
        ],
        depends=[str(path) for path in (*KERNELS.rglob("*.h"), VERSION)],
    )
    for source in sorted(DRIVERS.rglob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        nthreads=os.cpu_count(),
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
        },
    ),
    cmdclass={"build_ext": BuildExt},
)
