"""A peer with its arguments converted, and the libraries there are.

Libraries are imported on first use; one that is not installed is left out.
"""

import importlib
import warnings
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ready:
    """A peer with its arguments converted.

    Parameters
    ----------
    call : takes nothing, does the work.
    to_numpy : turns what `call` returns into an array laid out like ours.
    part : index of that array in our result, for a peer too slow to do all of it.
    share : part of the whole work that `call` does; its time is divided by it.
    """

    call: Callable[[], object]
    to_numpy: Callable[[object], np.ndarray] = np.asarray
    part: tuple = ()
    share: float = 1.0


def library(peer):
    """Import name of a peer: "numpy-loops" is numpy."""
    return peer.partition("-")[0]


def find(names):
    """Versions of the libraries that can be imported, and a line for each that cannot."""
    found, missing = {}, []
    for name in names:
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError as error:
            missing.append(f"{name} is left out: {error}")
    return found, missing


@contextmanager
def limited(found, threads):
    """Hold the libraries in `found` to `threads` threads, and torch to inference."""
    with ExitStack() as stack:
        if "torch" in found:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
            stack.enter_context(torch.inference_mode())
        if "cv2" in found:
            import cv2

            stack.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(threads)
        if "numpy" in found:
            try:
                from threadpoolctl import threadpool_limits
            except ImportError:
                warnings.warn(
                    "threadpoolctl is not installed: NumPy's BLAS keeps its own threads", stacklevel=1
                )
            else:
                stack.enter_context(threadpool_limits(threads, user_api="blas"))
        yield
