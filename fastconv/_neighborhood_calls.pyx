"""Driver of reductions that are functions of the user: gathers windows and calls compiled functions."""
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t


def capsule(value):
    """(name or None, pointer, context) of a PyCapsule, None for anything else."""
    if not PyCapsule_CheckExact(value):
        return None
    cdef const char *name = PyCapsule_GetName(value)
    cdef void *pointer = PyCapsule_GetPointer(value, name)
    return (None if name == NULL else name.decode()), <uintptr_t>pointer, <uintptr_t>PyCapsule_GetContext(value)
