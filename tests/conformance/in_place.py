"""A plugin for pytest that runs SciPy's own tests with our functions in the place of SciPy's.

After collection, when SciPy's decorators have looked at its own functions, ours take their names in scipy.ndimage and
scipy.spatial.distance, in the test modules that bound them, and in the parameters of tests. Results go to the file that
FASTCONV_CONFORMANCE names, one line for each test: its outcome and its id.
"""

import functools
import os

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial.distance

import fastconv
import fastconv.ndimage


def in_double_precision(function):
    """Our cdist or pdist with SciPy's dtype of results; "test_", which asks SciPy for a metric in Python, asks for the metric."""

    @functools.wraps(function)
    def distances(*args, **kwargs):
        names = [arg.removeprefix("test_") if isinstance(arg, str) else arg for arg in args]
        if isinstance(kwargs.get("metric"), str):
            kwargs["metric"] = kwargs["metric"].removeprefix("test_")
        return function(*names, dtype=np.float64, **kwargs)

    return distances


OURS = {getattr(scipy.ndimage, name): getattr(fastconv.ndimage, name) for name in fastconv.ndimage.__all__}
OURS |= {
    scipy.spatial.distance.cdist: in_double_precision(fastconv.cdist),
    scipy.spatial.distance.pdist: in_double_precision(fastconv.pdist),
    scipy.spatial.distance.squareform: fastconv.squareform,
}


def replaced(value):
    """`value` with SciPy's functions replaced by ours, in tuples, lists and partials, too."""
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(replaced(one) for one in value)
    if isinstance(value, functools.partial):
        return functools.partial(replaced(value.func), *replaced(value.args), **value.keywords)
    try:
        return OURS.get(value, value)
    except TypeError:
        return value


def replace_in(namespace):
    for name, value in list(vars(namespace).items()):
        if callable(value) and replaced(value) is not value:
            setattr(namespace, name, replaced(value))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    for module in {item.module for item in session.items} | {scipy.ndimage, scipy.spatial.distance}:
        replace_in(module)
    for item in session.items:
        if hasattr(item, "callspec"):
            for name, value in item.callspec.params.items():
                item.callspec.params[name] = replaced(value)
            item.funcargs.update({name: replaced(value) for name, value in item.funcargs.items()})


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ["FASTCONV_CONFORMANCE"], "a", encoding="utf-8") as file:
            file.write(f"{report.outcome} {report.nodeid.rpartition('/')[2]}\n")
