"""A program of operations from the recording of a function (trace.py): which are done for each pixel, which for each output.

Elements of the recording's arrays are operands: cells, constants and values. What depends on a single cell is done for all
pixels once, into lines of its own. What the named reductions compute of all cells of a window they do, ahead of the program; a
sum, product or extreme over all cells of a box else goes by rows and columns; one over cells alone is one operation of many
operands. All else is done cell by cell, reductions of one depth together, so that few values live at a time.
What is made of a column of cells of a box is done once for all windows that see it. Next hop: assembly.py, which leaves out what
nothing needs.
"""
import math

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood.programs import MOST_WIRES
from .assembly import Assembly, Cell, Constant, Shifted, Step, Value
from .trace import KINDS as _CODES

_MOST_STEPS = 1 << 15
_KEPT_CELLS = 16  # values of larger arrays are computed again for the next depth, rather than kept
_NAMED_CELLS = 25  # of windows that are no boxes, from which on named reductions find extremes of all of them
_NAMED_SUMS = 225  # of boxes, from which on named reductions sum all of them
_NAMED_VARIANCES = 49  # and squares around their mean
_LEAST_CHAIN = 3  # products that one operation adds up
_runtime.face_seams("neighborhood", globals(), "_LEAST_CHAIN", "_KEPT_CELLS", "_NAMED_CELLS", "_NAMED_SUMS", "_NAMED_VARIANCES")

_STEPS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "any": "bitwise_or", "all": "bitwise_and",
          "fmax": "fmax", "fmin": "fmin"}  # fmt: skip
_MANY = {"sum": "sum", "prod": "prod", "max": "greatest", "min": "least", "any": "greatest", "all": "least"}


class TooLong(Exception):
    """The program would have more steps than are worth it."""


class Lowering:
    """The program of a recording.

    Parameters
    ----------
    trace, result : the recording and its last node
    box : bool
        Whether the window is a box.
    dense : bool
        Whether outputs lie next to each other along the lines.
    names : of the named reductions that are at hand
    columns : None, or (columns of a box, where each cell stands in C order of rows and columns)
    """

    def __init__(self, trace, result, box, dense, names, columns):
        self.columns = columns
        self.cells, self.names, self.named, self.chains = trace.nodes[0].size, names, {}, {}
        self.box, self.boxes = box, box and dense
        self.lines = [_CODES[trace.nodes[0].dtype]]
        self.pixels = []  # a Step for each line but the first
        self.line_of = {}
        self.steps, self.made, self.memo = [], {}, {}
        self.pointwise_of, self.maps, self.depths = {}, {}, {}
        self.sorted = {}
        reductions = self._reductions(result)
        for depth in sorted({self.depth(node) for node in reductions}):
            self._lower_depth([node for node in reductions if self.depth(node) == depth])
        self.result = self.element(result, 0)
        if isinstance(self.result, Shifted) and not self.result.by:
            self.result = Value(self.result.number)
        if isinstance(self.result, Shifted):
            self.result = self._make("copy", _CODES[result.dtype], (self.result,), _CODES[result.dtype])
        if not isinstance(self.result, Value) or self.steps[self.result.number].name == "named":
            self.result = self._emit("copy", _CODES[result.dtype], (self.result,))
        self.assembly = Assembly(self.lines, self.pixels, self.steps, self.result)

    # ---- the recording ----

    def depth(self, node):
        """How many reductions there are one after another."""
        if node.number not in self.depths:
            own = node.op in ("reduce", "sort", "position")
            self.depths[node.number] = own + max((self.depth(arg) for arg in node.args), default=0)
        return self.depths[node.number]

    def _reductions(self, result):
        found, waiting, seen = [], [result], set()
        while waiting:
            node = waiting.pop()
            if node.number in seen:
                continue
            seen.add(node.number)
            waiting += node.args
            if node.op in ("reduce", "sort", "position"):
                found.append(node)
        return sorted(found, key=lambda node: node.number)

    def pointwise(self, node):
        """(line, which cell each element is of) of what depends on a single cell each, else None."""
        if node.number not in self.pointwise_of:
            self.pointwise_of[node.number] = self._pointwise(node)
        return self.pointwise_of[node.number]

    def _pointwise(self, node):
        if node.op == "cells":
            return 0, np.arange(node.size)
        if node.op == "pick" and len(node.args) == 1:
            found = self.pointwise(node.args[0])
            return found and (found[0], found[1][node.value])
        if node.op in ("constant", "pick", "reduce", "sort", "position"):
            return None
        cells, operands = None, []
        if node.op == "select" and node.args[2].op == "constant":
            return None
        for arg in node.args:
            if arg.op == "constant" and arg.size == 1:
                operands.append(self._constant(arg.value.reshape(-1)[0], arg.dtype))
                continue
            found = self.pointwise(arg)
            if found is None:
                return None
            of = found[1][self._map(arg, node)]
            if cells is not None and not np.array_equal(of, cells):
                return None
            cells = of
            operands.append(found[0])
        if len(np.unique(cells)) < 2:
            return None
        code = _CODES[node.dtype]
        key = (node.op, code, *operands)
        if key not in self.line_of:
            self.line_of[key] = len(self.lines)
            self.lines.append(code)
            kind = code if node.op == "cast" else _CODES[node.args[0].dtype]
            self.pixels.append(Step(node.op, kind, code, tuple(operands), source=_CODES[node.args[0].dtype]))
        return self.line_of[key], cells

    def _map(self, arg, node):
        """Which element of an argument each element of a node is made of."""
        key = arg.tail, node.tail
        if key not in self.maps:
            numbers = np.arange(math.prod(arg.tail)).reshape(arg.tail)
            self.maps[key] = np.broadcast_to(numbers, node.tail).reshape(-1)
        return self.maps[key]

    def _constant(self, value, dtype):
        word = np.zeros(8, np.uint8)
        bits = np.array(value, dtype).reshape(1).view(np.uint8)
        word[: bits.size] = bits
        return Constant(_CODES[dtype], int(word.view(np.uint64)[0]), value)

    # ---- steps ----

    def _emit(self, name, code, operands, kind=None, **more):
        """The value of an operation, made once for the same operands."""
        kind = kind or code
        if any(isinstance(operand, Shifted) for operand in operands) and all(
            isinstance(operand, (Shifted, Constant)) for operand in operands
        ):
            return self._by_column(name, code, operands, kind, **more)
        return self._make(name, code, operands, kind, **more)

    def _by_column(self, name, code, operands, kind, **more):
        """The value of an operation on what each window has a column further than the window before it: once for all windows."""
        terms = more.pop("terms", ())
        places = [self._column(operand) for operand in (*operands, *terms)]
        first = min(place for place, _ in places if place is not None)
        wide = min(last - (place - first) for place, last in places if place is not None)
        moved = (tuple(self._moved(operand, -first) for operand in some) for some in (operands, terms))
        operands, terms = moved
        more = more | ({"terms": terms} if terms else {})
        return Shifted(self._make(name, code, operands, kind, wide=wide, **more).number, first)

    def _column(self, operand):
        """(in which column an operand is, the last in which it could be); no column is that of a constant."""
        if isinstance(operand, Constant):
            return None, 0
        if isinstance(operand, Shifted):
            return operand.by, self.steps[operand.number].wide
        width, places = self.columns
        return int(places[operand.cell]) % width, width - 1

    def _moved(self, operand, by):
        if isinstance(operand, Shifted):
            return Shifted(operand.number, operand.by + by)
        if isinstance(operand, Cell):
            places = self.columns[1]
            return Cell(operand.line, int(np.flatnonzero(places == places[operand.cell] + by)[0])) if by else operand
        return operand

    def _make(self, name, code, operands, kind, **more):
        constants = [isinstance(operand, Constant) for operand in operands[:2]]
        alone = constants == [True, True] or (name == "add_product" and constants[0])
        if alone and name not in ("copy", "select", "cast"):  # kernels take one operand that is the same for all outputs
            operands = (self._emit("copy", kind, operands[:1]), *operands[1:])
        key = (name, kind, code, operands, *more.items())
        found = self.made.get(key)
        if found is None:
            if len(self.steps) >= _MOST_STEPS:
                raise TooLong
            found = self.made[key] = Value(len(self.steps))
            self.steps.append(Step(name, kind, code, operands, **more))
        return found

    def element(self, node, number):
        """The operand of an element of a node."""
        key = node.number, number
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._element(node, number)
        return found

    def _element(self, node, number):
        found = self.pointwise(node)
        if found is not None:
            return Cell(found[0], int(found[1][number]))
        if node.op == "constant":
            return self._constant(node.value.reshape(-1)[number], node.dtype)
        if node.op == "pick":
            number = int(node.value[number])
            for arg in node.args:
                if number < arg.size:
                    return self.element(arg, number)
                number -= arg.size
        if node.op == "sort":
            return self._sort(node, number)
        if node.op == "reduce":
            return self._one_by_one([(node, number)])[0]
        if node.op == "position":
            return self._position(node, number)
        if node.op == "add" and node.dtype.kind == "f":
            found = self._chain(node, number)
            if found is not None:
                return found
        operands = [self.element(arg, int(self._map(arg, node)[number])) for arg in node.args]
        code, kind = _CODES[node.dtype], _CODES[node.args[0].dtype]
        if node.op == "select":
            if isinstance(operands[2], Constant):
                return operands[0] if operands[2].value else operands[1]
            return self._emit("select", code, tuple(operands))
        if node.op in ("bitwise_and", "bitwise_or") and code == "?":
            for this, other in (operands, operands[::-1]):
                if isinstance(this, Constant):
                    return other if bool(this.value) == (node.op == "bitwise_and") else this
        if node.op in ("copy", "cast") and isinstance(operands[0], Constant):
            return self._constant(np.asarray(operands[0].value).astype(node.dtype), node.dtype)
        if node.op == "multiply":  # of a boolean: one of two constants
            for factor, arg in zip(operands[::-1], node.args, strict=True):
                if arg.op == "cast" and arg.args[0].dtype == np.dtype(bool) and isinstance(factor, Constant) and code[0] != "f":
                    truth = self.element(arg.args[0], int(self._map(arg, node)[number]))
                    if not isinstance(truth, Constant):
                        return self._emit("select", code, (factor, self._constant(0, node.dtype), truth))
        if node.op == "cast":
            return self._emit("cast", code, tuple(operands), source=kind)
        return self._emit(node.op, code, tuple(operands), kind=kind)

    def _chain(self, node, number):
        """A sum of products with constants, written out, as one operation that rounds each: of a first value and of sums or
        differences of two, or of any values; None if there are too few."""
        if node.number not in self.chains:
            self.chains[node.number] = _products(node)
        name, leaves = self.chains[node.number]
        if len(leaves) < _LEAST_CHAIN:
            return None
        terms, weights = [], []
        for values, weight, product in leaves:
            for value, inner in values:
                terms.append(self.element(value, int(self._map(value, inner)[number])))
            weights.append(float(weight.value.reshape(-1)[self._map(weight, product)[number]]))
        if any(isinstance(term, Constant) for term in terms):
            return None
        placed = all(isinstance(term, (Cell, Shifted)) for term in terms)
        shared = placed and (node.size > 1 or all(isinstance(term, Shifted) for term in terms))
        if shared and self.columns is not None:
            return self._by_column(name, _CODES[node.dtype], (), _CODES[node.dtype], terms=tuple(terms), weights=tuple(weights))
        return self._make(name, _CODES[node.dtype], (), _CODES[node.dtype], terms=tuple(terms), weights=tuple(weights))

    # ---- reductions ----

    def _lower_depth(self, nodes):
        waiting = []
        for node in nodes:
            if node.op != "reduce":
                continue
            for number in range(node.size):
                found = self._at_once(node, number)
                if found is None:
                    waiting.append((node, number))
                else:
                    self.memo[node.number, number] = found
        for (node, number), value in zip(waiting, self._one_by_one(waiting), strict=True):
            self.memo[node.number, number] = value
        for node in nodes:
            if node.op == "position":
                for number in range(node.size):
                    self.element(node, number)
        sizes = {}
        for number, _ in self.memo:
            sizes[number] = sizes.get(number, 0) + 1
        self.memo = {key: value for key, value in self.memo.items() if sizes[key[0]] <= _KEPT_CELLS or isinstance(value, Shifted)}
        self.made = {}

    def _terms(self, node, number):
        """(the node that has the terms of an element of a reduction, behind all that only picks from it, which they are)."""
        what, terms = node.args[0], node.args[0].size // node.size
        at = np.arange(number * terms, (number + 1) * terms)
        while what.op == "pick" and len(what.args) == 1:
            what, at = what.args[0], what.value[at]
        return what, at

    def _cells_of(self, what, at):
        """(line, cells) of elements of a node, None if they are not cells."""
        found = self.pointwise(what)
        return found and (found[0], found[1][at])

    def _at_once(self, node, number):
        """An element of a reduction as one operation, None if it must go one term by one."""
        op, (what, at) = node.params, self._terms(node, number)
        if op in _MANY and self.pointwise(what):
            found = self._of_cells(node, *self._cells_of(what, at), node.size > 1)
            if found is not None:
                return found
        found, real = None, node.dtype.kind == "f"
        if op == "sum" and what.op == "multiply" and what.args[0] is not what.args[1]:
            found = self._weighted(node, what, at) if real else self._choices(node, what, at)
        elif op == "sum" and what.op in ("multiply", "absolute") and real:
            found = self._around(node, what, at)
        elif op == "sum" and what.op == "sort" and real:
            found = self._sum_of_ranked(what, at)
        if found is None and op in _MANY:
            shifted = self._all_shifted(what, at)
            found = shifted and self._over(_MANY[op], _CODES[node.dtype], shifted)
        return found

    def _of_cells(self, node, line, cells, several):
        """A reduction of cells, by name or as one operation."""
        op, code, every = node.params, _CODES[node.dtype], self._all(cells)
        name = {"any": "max", "all": "min"}.get(op, op)
        least = _NAMED_SUMS if op == "sum" else 1 if self.box else _NAMED_CELLS
        if every and name in self.names and self.cells >= least and (self._plain(line, node) if op == "sum" else line == 0):
            return self._by_name(name, 0.0, code)
        if self.boxes and every:
            return self._emit(_MANY[op], code, (line,), box=True)
        if len(cells) > 1:
            return self._over(_MANY[op], code, _as_cells(line, cells), several)
        return None

    def _weighted(self, node, what, at):
        """A sum of cells, or of what columns have, times constants."""
        for x, y in (what.args, what.args[::-1]):
            if y.op != "constant":
                continue
            of, weights = self._map(x, what)[at], y.value.reshape(-1)[self._map(y, what)[at]]
            if self.pointwise(x):
                return self._dot(_CODES[node.dtype], _as_cells(*self._cells_of(x, of)), weights, node.size > 1)
            shifted = self._all_shifted(x, of)
            if shifted:
                return self._over("dot", _CODES[node.dtype], shifted, weights=tuple(weights.tolist()))
        return None

    def _around(self, node, what, at):
        """A sum of squares or absolute values of the differences between cells and one value."""
        inner, code = what.args[0], _CODES[node.dtype]
        if inner.op != "subtract":
            return None
        for x, y in (inner.args, inner.args[::-1]):
            found, of = self._cells_of(x, self._map(x, inner)[at]), self._map(y, inner)[at]
            if found is None or y.size != node.size or (of != of[0]).any():
                continue
            variance = what.op == "multiply" and self.cells >= _NAMED_VARIANCES and "var" in self.names
            if variance and self._is_mean(y, found, node):
                size = self._constant(self.cells, node.dtype)
                return self._emit("multiply", code, (self._by_name("var", 0.0, code), size))
            name = "squares" if what.op == "multiply" else "distances"
            return self._emit(name, code, (self.element(y, int(of[0])),), terms=_as_cells(*found))
        return None

    def _over(self, name, code, terms, several=False, **more):
        """An operation over many operands: of columns, if there are several of them or operands are."""
        if self.columns is not None and (several or isinstance(terms[0], Shifted)):
            return self._by_column(name, code, (), code, terms=terms, **more)
        return self._make(name, code, (), code, terms=terms, **more)

    def _dot(self, code, cells, weights, several):
        """A weighted sum: of a box by columns and rows if its weights are products, to rounding."""
        if self.columns is not None and self._all(np.array([cell.cell for cell in cells])):
            width, places = self.columns
            order = np.argsort([places[cell.cell] for cell in cells])
            matrix = weights[order].reshape(-1, width)
            row, column = np.unravel_index(np.abs(matrix).argmax(), matrix.shape)
            down, along = matrix[:, column], matrix[row] / matrix[row, column] if matrix[row, column] else matrix[row]
            rounding = 4 * np.finfo(weights.dtype).eps * abs(matrix[row, column])
            with np.errstate(all="ignore"):
                product = bool((np.abs(np.outer(down, along) - matrix) <= rounding).all())
            if product and sum(matrix.shape) < matrix.size:
                first = tuple(cells[i] for i in order[::width])
                sums = self._by_column("dot", code, (), code, terms=first, weights=tuple(down.tolist()))
                terms = tuple(self._moved(sums, by) for by in range(width))
                return self._over("dot", code, terms, weights=tuple(along.tolist()))
        return self._over("dot", code, cells, several, weights=tuple(weights.tolist()))

    def _all_shifted(self, what, at):
        """Elements of a node if all are shifted values."""
        if self.columns is None or what.op == "constant" or len(at) < 2:
            return None
        if not isinstance(self.element(what, int(at[0])), Shifted):  # then those of the others are not made here
            return None
        found = tuple(self.element(what, int(i)) for i in at)
        return found if all(isinstance(operand, Shifted) for operand in found) else None

    def _all(self, cells):
        """Whether these are all cells of a window, each once."""
        return len(cells) == self.cells and np.array_equal(np.sort(cells), np.arange(self.cells))

    def _plain(self, line, node):
        """Whether named reductions see what stands in a line: the array, or numbers of it that doubles hold, too; their sums of
        integers are exact where NumPy's would not be of those of 64 bits."""
        if line == 0:
            return True
        step, source = self.pixels[line - 1], np.dtype(self.lines[0])
        return step.name == "cast" and step.operands == (0,) and source.itemsize < 8 and node.dtype.itemsize == 8

    def _is_mean(self, node, found, total):
        """Whether a node is the mean of all cells of a box, which `found` has as their line and numbers, and the sum of squares
        around it so what "var" computes."""
        node = _picked(node)
        if not self.box or not self._all(found[1]) or not self._plain(found[0], total) or node.op != "divide":
            return False
        mean, size = _picked(node.args[0]), node.args[1]
        if mean.op != "reduce" or mean.params != "sum" or mean.size > 1 or size.op != "constant":
            return False
        same = self._cells_of(*self._terms(mean, 0))
        return same is not None and same[0] == found[0] and self._all(same[1]) and bool((size.value == self.cells).all())

    def _by_name(self, name, value, code):
        """The value of a named reduction of all cells."""
        key = name, value, code
        if key not in self.named:
            self.named[key] = self._emit("named", code, (), weights=key)
        return self.named[key]

    def _choices(self, node, what, at):
        """The sum of whole constants that booleans choose, in as few bytes as hold it."""
        for truth, factor in (what.args, what.args[::-1]):
            if truth.op != "cast" or truth.args[0].dtype != np.dtype(bool) or factor.op != "constant":
                continue
            factors = [int(value) for value in factor.value.reshape(-1)[self._map(factor, what)[at]]]
            kind = next((np.dtype(code) for code in ("u1", "u2", "u4") if sum(factors) <= np.iinfo(code).max), None)
            if min(factors) < 0 or kind is None or kind.itemsize >= node.dtype.itemsize:
                continue
            total, code = None, _CODES[kind]
            for i, value in zip(self._map(truth, what)[at], factors, strict=True):
                chosen = self.element(truth.args[0], int(i))
                if isinstance(chosen, Constant):
                    chosen = self._emit("copy", "?", (chosen,))
                x = self._emit("select", code, (self._constant(value, kind), self._constant(0, kind), chosen))
                total = x if total is None else self._emit("add", code, (total, x))
            return self._emit("cast", _CODES[node.dtype], (total,), source=code)
        return None

    def _one_by_one(self, waiting):
        """Elements of reductions, term by term, all of them side by side."""
        sums = [None] * len(waiting)
        longest = max((node.args[0].size // node.size for node, _ in waiting), default=0)
        for term in range(longest):
            for i, (node, number) in enumerate(waiting):
                arg, code = node.args[0], _CODES[node.dtype]
                terms = arg.size // node.size
                if term >= terms:
                    continue
                at = number * terms + term
                if sums[i] is not None and node.params == "sum" and arg.op == "multiply" and self.pointwise(arg) is None:
                    factors = [self.element(factor, int(self._map(factor, arg)[at])) for factor in arg.args]
                    if isinstance(factors[0], Constant):
                        factors.reverse()
                    sums[i] = self._emit("add_product", code, (*factors, sums[i]))
                    continue
                x = self.element(arg, at)
                if isinstance(x, Constant) and x.word == 0 and node.params == "sum" and code[0] != "f" and term + 1 < terms:
                    continue
                if isinstance(x, Constant):
                    x = self._emit("copy", code, (x,))
                sums[i] = x if sums[i] is None else self._emit(_STEPS[node.params], code, (sums[i], x))
        return sums

    def _network(self, node, row):
        """What sorts a row of a node's elements."""
        count, code = node.tail[-1], _CODES[node.dtype]
        if (node.number, row) not in self.sorted:
            if count > MOST_WIRES:
                raise TooLong
            values = [self.element(node.args[0], row * count + i) for i in range(count)]
            raw = all(isinstance(value, Cell) and value.line == 0 for value in values)
            values = [self._emit("copy", code, (v,)) if isinstance(v, Constant) else v for v in values]
            self.sorted[node.number, row] = self._emit("network", code, (), terms=tuple(values), raw=raw)
        return self.sorted[node.number, row]

    def _sort(self, node, number):
        row, wire = divmod(number, node.tail[-1])
        found = self.pointwise(node.args[0]) if node.params == "quantile" and "rank" in self.names else None
        if found is not None and found[0] == 0 and node.tail[-1] == self.cells and self._all(found[1]):
            return self._by_name("rank", (-1, wire), _CODES[node.dtype])
        return self._emit("ranked", _CODES[node.dtype], (self._network(node, row),), weights=(wire, wire))

    def _sum_of_ranked(self, node, at):
        """The sum of elements of one sorted row that follow each other, None if these are others."""
        rows, ranks = np.divmod(np.sort(at), node.tail[-1])
        if (rows != rows[0]).any() or not np.array_equal(ranks, np.arange(ranks[0], ranks[0] + len(ranks))):
            return None
        network = self._network(node, int(rows[0]))
        return self._emit("ranked", _CODES[node.dtype], (network,), weights=(int(ranks[0]), int(ranks[-1])))

    def _position(self, node, number):
        """argmin and argmax: the first of the cells that are the extreme, or NaN: then that is NaN, too."""
        arg, code = node.args[0], _CODES[node.args[0].dtype]
        count = arg.tail[-1]
        cells = [self.element(arg, number * count + i) for i in range(count)]
        extreme, name = cells[0], "maximum" if node.params == "argmax" else "minimum"
        for x in cells[1:]:
            extreme = self._emit(name, code, (extreme, x))
        where = self._emit("copy", "i8", (self._constant(count - 1, np.dtype(np.int64)),))
        for i in range(count - 2, -1, -1):
            found = self._emit("equal", "?", (cells[i], extreme), kind=code)
            if code[0] == "f":
                found = self._emit("bitwise_or", "?", (found, self._emit("not_equal", "?", (cells[i], cells[i]), kind=code)))
            where = self._emit("select", "i8", (self._constant(i, np.dtype(np.int64)), where, found))
        return where


def _products(node):
    """(name of the operation, what it is of) of a sum of products with constants, from the first on: for each product its values,
    each with the node it is an operand of, the constant, and the product."""
    tail, products = node.tail, []
    while node.op == "add" and node.tail == tail:
        product, rest = node.args[1], node.args[0]
        if _factors(product, tail) is None:
            product, rest = rest, product
        if _factors(product, tail) is None:
            return "", []
        products.append(product)
        node = rest
    if _factors(node, tail) is None:
        return "", []
    products.append(node)
    products.reverse()
    values = [_factors(product, tail)[0] for product in products]
    single = [[(value, product)] for value, product in zip(values, products, strict=True)]
    name = "products"
    for op, of_pairs in (("add", "pair_sums"), ("subtract", "pair_differences")):
        if all(value.op == op and value.tail == tail for value in values[1:]):
            name = of_pairs
            single[1:] = [[(arg, value) for arg in value.args] for value in values[1:]]
    weights = [_factors(product, tail)[1] for product in products]
    return name, list(zip(single, weights, products, strict=True))


def _factors(node, tail):
    """(value, constant) of a product of them, else None."""
    if node.op != "multiply" or node.tail != tail:
        return None
    for value, weight in (node.args, node.args[::-1]):
        if weight.op == "constant" and value.op != "constant":
            return value, weight
    return None


def _as_cells(line, cells):
    return tuple(Cell(line, int(cell)) for cell in cells)


def _picked(node):
    """What a single element is picked from, if that is one itself."""
    while node.op == "pick" and len(node.args) == 1 and node.args[0].size == 1:
        node = node.args[0]
    return node
