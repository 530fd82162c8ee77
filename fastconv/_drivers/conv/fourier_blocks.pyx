"""How a call is cut into blocks for Fourier transforms, by the shapes of one image and the filters alone, and what that costs.

Filters larger than three quarters of a block come in parts, which are like channels of images that are shifted. Next hop:
fourier.pyx.
"""
from libc.math cimport INFINITY, log2
from libc.string cimport memset

from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.plan cimport Plan
from fastconv._drivers.conv.table cimport FC_FOURIER_LEAST, FC_FOURIER_MOST
from fastconv._drivers.runtime cimport seam

cdef idx FOURIER_BLOCK = 256 << 10      # bytes of a plane of a block, at most
cdef idx FOURIER_BANK = 12 << 20        # of transformed filters that are kept
cdef idx FOURIER_BYTES = 9 << 18        # of transformed blocks of a task
cdef idx FOURIER_TILE = 8               # rows and columns of outputs that are computed directly together

seam("conv.FOURIER_BLOCK", &FOURIER_BLOCK)
seam("conv.FOURIER_BANK", &FOURIER_BANK)
seam("conv.FOURIER_BYTES", &FOURIER_BYTES)
seam("conv.FOURIER_TILE", &FOURIER_TILE)

# The cost model: multiply-adds, as computed directly, that take as long as what Fourier transforms need.
# `python -m bench.conv.costs` measures them, and AXIS_COST of run.pyx.
cdef idx STEP_COST = 4                  # a step of a radix 2 of a complex point
cdef idx PRODUCT_COST = 8               # a product of spectra at one frequency
cdef idx INPUT_COST = 100               # what an input takes beside: packing, the guard
cdef idx OUTPUT_COST = 40               # likewise an output
seam("conv.STEP_COST", &STEP_COST)
seam("conv.PRODUCT_COST", &PRODUCT_COST)
seam("conv.INPUT_COST", &INPUT_COST)
seam("conv.OUTPUT_COST", &OUTPUT_COST)


cdef idx cut_axis(idx points, idx taps, idx dilation, idx stride, idx outputs, idx *part, idx *parts, idx *each,
                  idx *tile) noexcept:
    """Taps of a part, parts, outputs of a block and of its tiles of an axis; returns blocks."""
    cdef idx most = max((points // 2 - 1) // dilation + 1, 1)
    if (taps - 1) * dilation + 1 <= 3 * points // 4:
        most = taps
    parts[0] = ceil_div(taps, most)
    part[0] = ceil_div(taps, parts[0])
    parts[0] = ceil_div(taps, part[0])
    each[0] = min((points - (part[0] - 1) * dilation - 1) // stride + 1, outputs)
    tile[0] = min(FOURIER_TILE, each[0])
    if each[0] < outputs:        # blocks of whole tiles
        each[0] = each[0] // tile[0] * tile[0]
        each[0] = round_up(ceil_div(outputs, ceil_div(outputs, each[0])), tile[0])
    return ceil_div(outputs, each[0])


cdef double bank_bytes(const Plan *p, const Blocks *b) noexcept:
    return 2.0 * b.lh * b.lw * p.item * p.groups * p.kg * terms_of(p, b)


cdef bint keeps_bank(const Plan *p, const Blocks *b) noexcept:
    """Whether the spectra of all filters are kept."""
    return bank_bytes(p, b) <= FOURIER_BANK


cdef bint keeps(const Plan *p, const Blocks *b) noexcept:
    """Whether the spectra of a pair of blocks are kept for all filters."""
    return <double>terms_of(p, b) * spectrum_bytes(p, b) <= FOURIER_BYTES


cdef idx pairs_together(const Plan *p, const Blocks *b, idx pairs) noexcept:
    """How many pairs of blocks share the spectra of filters."""
    return max(min(FOURIER_BYTES // (terms_of(p, b) * spectrum_bytes(p, b)), pairs, MOST_PAIRS), 1) if keeps(p, b) else 1


cdef idx filters_together(const Plan *p, const Blocks *b, idx pairs) noexcept:
    """How many filters so many pairs of blocks are multiplied with at once."""
    return max(min(FOURIER_BYTES // (2 * pairs * spectrum_bytes(p, b)), FILTERS, p.kg), 1)


cdef Counts count(const Plan *p, const Blocks *b) noexcept:
    """What one image takes, its filters being transformed, too."""
    cdef double size = <double>b.lh * b.lw, terms = terms_of(p, b), pairs = ceil_div(b.rows * b.cols, 2)
    cdef double transforms = p.groups * p.kg * terms * (1 if keeps_bank(p, b) else 1 + pairs)
    cdef Counts c
    transforms += pairs * p.groups * (terms * (1 if keeps(p, b) else ceil_div(p.kg, FILTERS)) + p.kg)
    c.steps = transforms * size * log2(size)
    c.products = pairs * p.groups * terms * p.kg * size
    c.inputs = <double>p.ho * p.sh * p.wo * p.sw * p.groups * p.cg
    c.outputs = <double>p.ho * p.wo * p.groups * p.kg
    return c


cdef double cost_of(const Plan *p, const Blocks *b) noexcept:
    """Multiply-adds that take as long as one image."""
    cdef Counts c = count(p, b)
    return STEP_COST * c.steps + PRODUCT_COST * c.products + INPUT_COST * c.inputs + OUTPUT_COST * c.outputs


cdef Blocks cut(const Plan *p, double *cost) noexcept:
    """The cheapest way of cutting a call, and what it costs."""
    cdef Blocks b, best
    cdef double now
    cost[0] = INFINITY
    memset(&best, 0, sizeof(best))
    b.lh = FC_FOURIER_LEAST
    while b.lh <= FC_FOURIER_MOST:
        b.lw = FC_FOURIER_LEAST
        while b.lw <= FC_FOURIER_MOST:
            if b.lh * b.lw * p.item <= FOURIER_BLOCK or b.lh == b.lw == FC_FOURIER_LEAST:
                b.rows = cut_axis(b.lh, p.fh, p.dh, p.sh, p.ho, &b.th, &b.parts_h, &b.oh, &b.tile_h)
                b.cols = cut_axis(b.lw, p.fw, p.dw, p.sw, p.wo, &b.tw, &b.parts_w, &b.ow, &b.tile_w)
                now = cost_of(p, &b)
                if now < cost[0]:
                    cost[0], best = now, b
            b.lw *= 2
        b.lh *= 2
    return best
