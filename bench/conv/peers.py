"""How peers do it: conv2d: images (N, H, W, C), filters (F, F, C/groups, K), or those that `prepare_filters` made of them.

A function takes our arguments and returns a Ready whose `call` is timed.
"""

import numpy as np

import fastconv

from ..peer import Ready


def torch_conv2d(images, filters, strides=1, groups=1, method=None):
    """`torch.nn.functional.conv2d` on channels_last tensors: the memory layout of our arrays."""
    import torch

    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    filters = getattr(filters, "filters", filters)
    w = torch.from_numpy(filters.copy()).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    conv2d = torch.nn.functional.conv2d
    return Ready(
        lambda: conv2d(x, w, stride=strides, groups=groups),
        lambda result: result.permute(0, 2, 3, 1).numpy(),
    )


def channels_last(images):
    """Images (N, H, W, C) as a tensor (N, C, H, W) in the same memory."""
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2)


def channels_last_filters(filters):
    """Filters (F, F, C, K) as a tensor (K, C, F, F), copied into torch's own order."""
    import torch

    return torch.from_numpy(filters).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def torch_input_grad(shape, filters, grad):
    """`torch.nn.grad.conv2d_input` on channels_last tensors."""
    import torch

    n, h, w, c = shape
    tensors = channels_last_filters(filters), channels_last(grad)
    return Ready(lambda: torch.nn.grad.conv2d_input((n, c, h, w), *tensors), lambda result: result.permute(0, 2, 3, 1).numpy())


def torch_filter_grad(images, filter_shape, grad):
    """`torch.nn.grad.conv2d_weight` on channels_last tensors."""
    import torch

    fh, fw, c, k = filter_shape
    x, g = channels_last(images), channels_last(grad)
    return Ready(lambda: torch.nn.grad.conv2d_weight(x, (k, c, fh, fw), g), lambda result: result.permute(2, 3, 1, 0).numpy())


def torch_transpose(images, filters, strides):
    """`torch.nn.functional.conv_transpose2d` on channels_last tensors, with the padding of "SAME"."""
    import torch

    x, w = channels_last(images), channels_last_filters(filters)
    padding = (filters.shape[0] - strides) // 2
    call = torch.nn.functional.conv_transpose2d
    return Ready(lambda: call(x, w, stride=strides, padding=padding), lambda result: result.permute(0, 2, 3, 1).numpy())


def cv2_conv2d(images, filters, padding, padding_mode):
    """`cv2.filter2D` on one plane, border included."""
    import cv2

    if (
        (padding, padding_mode) != ("SAME", "mirror")
        or images.shape[::3] != (1, 1)
        or filters.shape[2:] != (1, 1)
    ):
        raise ValueError("cv2.filter2D does one plane with mirrored borders")
    image, kernel = images[0, :, :, 0], filters[:, :, 0, 0]
    return Ready(
        lambda: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101),
        lambda result: result[None, :, :, None],
    )


def float32_conv2d(images, filters, **options):
    """Our own direct way, on float32 of the same numbers."""
    x, w = images.astype(np.float32), filters.astype(np.float32)
    return Ready(lambda: fastconv.conv2d(x, w, method="direct", **options), lambda result: result.astype(np.int32))


def scipy_conv2d(images, filters, padding="VALID", padding_mode="constant"):
    """`scipy.signal.oaconvolve` for each pair of channels of one image; borders are mirrored before the clock starts."""
    from scipy.signal import oaconvolve

    fh, fw, channels, count = filters.shape
    if (padding, padding_mode) == ("SAME", "mirror"):
        images = np.pad(images, ((0, 0), (fh // 2,) * 2, (fw // 2,) * 2, (0, 0)), mode="reflect")
    planes, kernels = np.ascontiguousarray(images[0].transpose(2, 0, 1)), filters[::-1, ::-1].transpose(3, 2, 0, 1).copy()

    def call():
        return [sum(oaconvolve(planes[c], kernels[k, c], mode="valid") for c in range(channels)) for k in range(count)]

    return Ready(call, lambda result: np.stack(result, axis=-1)[None])


def torch_mirrored(images, filters, padding, padding_mode):
    """`torch_conv2d` with borders that are mirrored before the clock starts."""
    if (padding, padding_mode) != ("SAME", "mirror"):
        raise ValueError("only mirrored borders")
    above, left = filters.shape[0] // 2, filters.shape[1] // 2
    return torch_conv2d(np.pad(images, ((0, 0), (above,) * 2, (left,) * 2, (0, 0)), mode="reflect"), filters)


def numpy_conv2d(images, filters):
    """Windows as a strided view, contracted by `tensordot`."""

    def call():
        fh, fw = filters.shape[:2]
        n, h, w, c = images.shape
        sn, sh, sw, sc = images.strides
        windows = np.lib.stride_tricks.as_strided(
            images, (n, h - fh + 1, w - fw + 1, fh, fw, c), (sn, sh, sw, sh, sw, sc), writeable=False
        )
        return np.tensordot(windows, filters, axes=3)

    return Ready(call)


def numpy_loops_conv2d(images, filters):
    """The four loops, for the first output row of the first image only."""
    fh, fw, _, count = filters.shape
    rows, width = images.shape[1] - fh + 1, images.shape[2] - fw + 1

    def call():
        result = np.zeros((1, 1, width, count), images.dtype)
        for n in range(1):
            for i in range(1):
                for j in range(width):
                    for k in range(count):
                        window = images[n, i : i + fh, j : j + fw, :]
                        result[n, i, j, k] = np.multiply(window, filters[:, :, :, k]).sum()
        return result

    return Ready(call, part=(slice(1), slice(1)), share=1 / (len(images) * rows))


PEERS = {
    "fastconv-float32": {"conv2d": float32_conv2d},
    "torch": {
        "conv2d": torch_conv2d,
        "conv2d_input_grad": torch_input_grad,
        "conv2d_filter_grad": torch_filter_grad,
        "conv2d_transpose": torch_transpose,
    },
    "torch-mirrored": {"conv2d": torch_mirrored},
    "scipy": {"conv2d": scipy_conv2d},
    "cv2": {"conv2d": cv2_conv2d},
    "numpy": {"conv2d": numpy_conv2d},
    "numpy-loops": {"conv2d": numpy_loops_conv2d},
}
