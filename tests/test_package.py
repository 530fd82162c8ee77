"""The package: what it ships, exports and documents."""

import importlib
import importlib.metadata
import inspect
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv

HOME = Path(fastconv.__file__).parent
PUBLIC = [name for name in fastconv.__all__ if not name.startswith("__")]
WITH_ARGUMENTS = [
    name
    for name in PUBLIC
    if callable(getattr(fastconv, name)) and inspect.signature(getattr(fastconv, name)).parameters
]


def needs_tool(name):
    return pytest.mark.skipif(not shutil.which(name), reason=f"needs {name}")


def extension_modules():
    """Return the compiled modules of fastconv that are loaded now."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fastconv.")]
    files = (Path(module.__file__) for module in modules if getattr(module, "__file__", None))
    return sorted({file for file in files if file.suffix in (".so", ".pyd")})


def is_editable():
    """Whether any distribution on the path is editable: in the source tree its egg-info is found first."""
    origins = [
        json.loads(found.read_text("direct_url.json") or "{}")
        for found in importlib.metadata.distributions(name="fastconv")
    ]
    return any(origin.get("dir_info", {}).get("editable", False) for origin in origins)


# --- What is shipped


def test_version_is_that_of_the_metadata():
    assert fastconv.__version__ == importlib.metadata.version("fastconv")
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(dev|a|b|rc)\d+)?", fastconv.__version__)


def test_metadata():
    metadata = importlib.metadata.metadata("fastconv")
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in importlib.metadata.requires("fastconv") if "extra" not in line]
    assert [re.match(r"\w+", line).group() for line in required] == ["numpy"]
    assert {"test", "demo", "bench"} <= set(metadata.get_all("Provides-Extra"))


def test_set_up_extras_install_nothing_heavy():
    light = [
        line for line in importlib.metadata.requires("fastconv") if re.search("extra == .(test|demo)", line)
    ]
    assert len(light) >= 4
    assert not [line for line in light if re.match("torch|tensorflow|opencv|jax|scikit", line)]


def test_types_are_announced():
    assert (HOME / "py.typed").is_file()


def test_installed_package_has_no_sources_of_the_build():
    if is_editable():
        pytest.skip("needs an installed package, this is an editable one")
    shipped = [str(path) for path in importlib.metadata.files("fastconv")]
    assert "fastconv/py.typed" in shipped
    assert not [path for path in shipped if re.search(r"\.(c|h|pyx|o)$", path)]
    assert not [path for path in shipped if re.match(r"(tests|bench|build|\.ci)/", path)]


def test_sources_without_compiled_modules_use_those_installed(tmp_path):
    clone_without_drivers(tmp_path)
    code = "import fastconv, numpy; print(fastconv.__file__, fastconv.triple_product(numpy.ones((1, 2)))[0, 0, 0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HOME.parent)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(tmp_path / "fastconv" / "__init__.py"), "2.0"], done.stderr


def clone_without_drivers(folder):
    """Copy the sources in Python, without compiled modules, to `folder`/fastconv; return that."""
    for path in HOME.rglob("*.py"):
        copy = folder / "fastconv" / path.relative_to(HOME)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder / "fastconv"


def import_error(folder):
    """Return the last line of the traceback of importing fastconv in `folder`, beside the package that the tests run on."""
    environment = os.environ | {"PYTHONPATH": str(HOME.parent)}
    command = [sys.executable, "-c", "import fastconv"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["conv.py", "_face/args.py", "runtime/__init__.py", "extra.py"])
def test_sources_beside_drivers_of_other_sources_are_an_import_error(tmp_path, name):
    with open(clone_without_drivers(tmp_path) / name, "a") as file:
        file.write("# another state\n")
    last = import_error(tmp_path)
    assert last.startswith("ImportError: fastconv is imported from")
    assert all(word in last for word in (str(tmp_path), str(HOME), name, "pip install"))


def test_sources_beside_drivers_of_another_version_are_an_import_error(tmp_path):
    (clone_without_drivers(tmp_path) / "_version.py").write_text('__version__ = "9.9.9"\n')
    last = import_error(tmp_path)
    assert re.match(f"ImportError: .*{re.escape(str(HOME))}.* of version {re.escape(fastconv.__version__)}, not 9.9.9", last)


def test_drivers_of_another_version_in_the_same_folder_are_an_import_error():
    from fastconv._drivers import runtime as _runtime
    from fastconv._face import build as _build

    _build._check(HOME, HOME, _runtime.VERSION)
    for version in ("9.9.9", None):
        with pytest.raises(ImportError, match=rf"{re.escape(str(HOME))} are of version {version}, .*build them again"):
            _build._check(HOME, HOME, version)


def test_compiled_modules_are_the_drivers():
    names = {file.name.partition(".")[0] for file in extension_modules()}
    assert {"pairs", "runtime"} <= names
    assert all(file.is_relative_to(HOME / "_drivers") for file in extension_modules())


# --- What the compiled modules hold


@needs_tool("nm")
@pytest.mark.parametrize("path", extension_modules(), ids=lambda path: path.name.partition(".")[0])
def test_only_the_init_function_is_exported(path):
    lines = subprocess.run(
        ["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1].partition("@")[0] for line in lines.splitlines()}
    linker_made = {"_init", "_fini", "_edata", "_end", "__bss_start"}
    assert exported - linker_made == {f"PyInit_{path.name.partition('.')[0]}"}


def sources_of_functions(path):
    """Return {address: source file, or name where it is not static} of the functions in a shared object."""
    table = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    sources, source = {}, ""
    for line in table.partition("'.symtab'")[2].splitlines():
        _, address, _, kind, *_, section, name = [*line.split(), "", "", "", "", "", ""][:8]
        if kind == "FILE":
            source = name
        elif kind == "FUNC" and section != "UND":
            sources[int(address, 16)] = source or name
    return sources


# Registers, and the levels of x86-64 that may use them.
REGISTERS = {"%zmm|%k[1-7]": "4", "%ymm": "34", r"\sv[a-z0-9]+ .*%xmm": "34"}


def functions_with_registers(path):
    """Return the addresses of the functions whose machine code has a match of each of REGISTERS."""
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    heads = list(re.finditer("^([0-9a-f]+) <.*>:$", text, re.MULTILINE))
    assert heads
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        register: {
            int(head[1], 16)
            for head, end in zip(heads, ends, strict=True)
            if re.compile(register).search(text, head.end(), end)
        }
        for register in REGISTERS
    }


@needs_tool("readelf")
@needs_tool("objdump")
@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="needs x86-64 and Linux"
)
@pytest.mark.parametrize("path", extension_modules(), ids=lambda path: path.name.partition(".")[0])
def test_wide_registers_stay_in_the_objects_of_their_isa(path):
    """An inline function compiled for AVX must not be the one that the baseline calls."""
    sources = sources_of_functions(path)
    if not sources:
        pytest.skip("needs a library that is not stripped")
    for register, addresses in functions_with_registers(path).items():
        found = {sources.get(address, hex(address)) for address in addresses}
        assert all(re.search(rf"x86_v[{REGISTERS[register]}]\b", name) for name in found), found
        assert bool(found) == (path.name.startswith("runtime.")), register


# --- What is documented


def test_public_names_exist():
    assert len(set(fastconv.__all__)) == len(fastconv.__all__)
    assert {
        "conv2d",
        "set_num_threads",
        "get_num_threads",
        "num_threads",
        "isa",
        "available_isas",
        "use_isa",
    } <= set(PUBLIC)
    assert all(hasattr(fastconv, name) for name in fastconv.__all__)
    assert fastconv.__doc__


def sections(name):
    """Return {heading: text} of a numpydoc docstring; the text before the first heading is under ""."""
    parts = re.split(r"(?m)^(\w[\w ]*)\n-{3,}$", inspect.getdoc(getattr(fastconv, name)))
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_has_a_summary_and_tells_what_returns(name):
    found = sections(name)
    assert re.match(r"[A-Z].*\.$", found[""].strip().splitlines()[0])
    returned = inspect.signature(getattr(fastconv, name)).return_annotation
    assert returned in (None, "None") or {"Returns", "Yields"} & set(found)


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
def test_docstring_describes_every_parameter_and_error(name):
    found = sections(name)
    described = re.findall(r"(?m)^(\w+(?:, \w+)*) : ", found["Parameters"])
    names = [parameter for line in described for parameter in line.split(", ")]
    assert names == list(inspect.signature(getattr(fastconv, name)).parameters)
    assert re.search(r"(?m)^(\w*Error)", found["Raises"])


def test_signature_of_conv2d_is_the_documented_one():
    defaults = {
        "strides": 1, "padding": "VALID", "dilations": 1, "groups": 1, "bias": None, "activation": None,
        "data_format": "NHWC", "padding_mode": "constant", "cval": 0.0, "flip_filters": False,
        "method": "auto", "out": None, "workers": None,
    }  # fmt: skip
    parameters = inspect.signature(fastconv.conv2d).parameters
    assert list(parameters) == ["input", "filters", *defaults]
    assert {name: parameter.default for name, parameter in parameters.items() if name in defaults} == defaults
    keyword_only = [
        name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert keyword_only == list(defaults)[2:]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_have_types(name):
    signature = inspect.signature(getattr(fastconv, name))
    assert signature.return_annotation is not signature.empty
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())


def test_docstring_examples_are_right():
    import doctest

    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner()
    examples = [
        test for name in PUBLIC for test in finder.find(getattr(fastconv, name), name) if test.examples
    ]
    for example in examples:
        runner.run(example)
    assert runner.summarize().attempted >= 2
    assert runner.failures == 0


def test_stations_of_the_tour_agree_and_can_be_drawn():
    tour = importlib.import_module("fastconv.__main__")
    photo = np.random.default_rng(0).random((48, 56, 3), np.float32)
    for station in tour.STATIONS:
        rows, panels = station(photo)
        assert tour.agree(rows), rows
        for panel in panels:
            assert np.isfinite(np.percentile(panel.image, [0.5, 99.5])).all()
