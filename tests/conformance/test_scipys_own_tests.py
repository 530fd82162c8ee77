"""SciPy's own tests of filters, morphology, callbacks and distances, from the installed SciPy, with ours in place."""

import collections
import os
import subprocess
import sys
from pathlib import Path

import pytest

scipy = pytest.importorskip("scipy")
pytest.importorskip("scipy.ndimage.tests", reason="needs a SciPy with its tests")

HERE = Path(__file__).parent
FILES = {
    "test_filters.py": "scipy.ndimage.tests.test_filters",
    "test_morphology.py": "scipy.ndimage.tests.test_morphology",
    "test_c_api.py": "scipy.ndimage.tests.test_c_api",
    "test_distance.py": "scipy.spatial.tests.test_distance",
}
pytestmark = pytest.mark.conformance


def deselected():
    """{id of a test: why it fails}."""
    lines = (HERE / "deselected.txt").read_text().splitlines()
    return dict(line.split("  ", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{file: {id of a test: (outcome, calls that SciPy has answered)}} of one run of all files."""
    folder = tmp_path_factory.mktemp("conformance")
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path, "FASTCONV_CONFORMANCE": str(folder / "outcomes")}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={Path(scipy.__file__).parent}",
               "-p", "in_place", "-p", "no:cacheprovider", "--tb=short", "--pyargs", *FILES.values()]  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    print(done.stdout[-20000:], done.stderr[-2000:])
    assert done.returncode in (0, 1), done.returncode
    found = {name: {} for name in FILES}
    for line in (folder / "outcomes").read_text().splitlines():
        outcome, scipys, test = line.split(" ", 2)
        # A test that fails when it is torn down has two outcomes: the last one counts.
        found[test.partition("::")[0]][test] = outcome, int(scipys)
    return found


@pytest.mark.parametrize("name", FILES)
def test_all_pass_but_those_that_have_a_reason(outcomes, name):
    tests = outcomes[name]
    counts = collections.Counter(outcome for outcome, _ in tests.values())
    print(f"{name}: {counts['passed']} of {counts['passed'] + counts['failed']} pass")
    listed = {test for test in deselected() if test.startswith(name)}
    assert {test for test, (outcome, _) in tests.items() if outcome == "failed"} == listed
    least = {"test_filters.py": 2000, "test_morphology.py": 1000, "test_c_api.py": 2, "test_distance.py": 400}[name]
    assert counts["passed"] > least
    assert counts["passed"] >= 0.99 * (counts["passed"] + counts["failed"])


def test_ours_compute_distances(outcomes):
    """SciPy answers mistakes, functions as metrics and the metrics named "test_..."; all other calls are ours."""
    tests = outcomes["test_distance.py"]
    answered = {test.partition("[")[0].rpartition("::")[2] for test, (_, scipys) in tests.items() if scipys}
    assert answered <= {
        "test_Xdist_deprecated_args", "test_Xdist_non_negative_weights", "test_cdist_calling_conventions",
        "test_cdist_custom_notdouble", "test_cdist_extra_args", "test_cdist_extra_args_custom", "test_cdist_mahalanobis",
        "test_cdist_out", "test_pdist_calling_conventions", "test_pdist_chebyshev_iris_nonC",
        "test_pdist_chebyshev_random_nonC", "test_pdist_custom_notdouble", "test_pdist_djaccard_allzeros_nonC",
        "test_pdist_extra_args", "test_pdist_extra_args_custom", "test_pdist_jensenshannon_iris_nonC",
        "test_pdist_jensenshannon_random_nonC", "test_pdist_out", "test_pdist_seuclidean_iris_nonC",
        "test_pdist_seuclidean_random_nonC",
    }  # fmt: skip
