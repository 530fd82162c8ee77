"""A plugin for pytest that runs SciPy's own tests with our functions in the place of SciPy's.

After collection, when SciPy's decorators have looked at its own functions, those of fastconv.ndimage take their names in
scipy.ndimage, in the test modules that bound them, and in the parameters of tests: ours alone, whatever they are given. For the
distances this is `fastconv.patch.patch_scipy`, whose results are float64 as SciPy's, and which hands to SciPy what ours do not
take. The file that FASTCONV_CONFORMANCE names gets a line for each test: its outcome, how many calls SciPy has answered, its id.
"""

import functools
import logging
import os

import pytest
import scipy.ndimage
import scipy.spatial.distance

import fastconv.ndimage
from fastconv.patch import patch_scipy

OURS = {getattr(scipy.ndimage, name): getattr(fastconv.ndimage, name) for name in fastconv.ndimage.__all__}


class Answers(logging.Handler):
    """Counts the calls that went to SciPy's own functions."""

    scipys = 0

    def emit(self, record):
        self.scipys += record.getMessage().partition(": ")[2].startswith("SciPy")


answers = Answers()


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
    for module in {item.module for item in session.items} | {scipy.ndimage}:
        replace_in(module)
    for item in session.items:
        if hasattr(item, "callspec"):
            item.callspec.params.update({name: replaced(value) for name, value in item.callspec.params.items()})
    patch_scipy(("cdist", "pdist", "squareform"))
    logger = logging.getLogger("fastconv.patch")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(answers)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ["FASTCONV_CONFORMANCE"], "a", encoding="utf-8") as file:
            file.write(f"{report.outcome} {answers.scipys} {report.nodeid.rpartition('/')[2]}\n")
        answers.scipys = 0
