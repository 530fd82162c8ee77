"""The constants of kernels/distance/table.h for the faces: the enumerators of table.pxd are attributes of this module."""
