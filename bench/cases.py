"""The table of cases: what is timed, against whom, and what it should reach. A new case is a row in its stem's cases.py."""

from .contraction import cases as contraction
from .conv import cases as conv
from .distance import cases as distance
from .ndimage import cases as ndimage
from .neighborhood import cases as neighborhood

CASES = [*conv.CASES, *contraction.CASES, *distance.CASES, *neighborhood.CASES, *ndimage.CASES]
