"""A program of operations from the recording of a function (trace.py): which are done for each pixel, which for each output.

Elements of the recording's arrays are operands: cells, constants and values. What depends on a single cell is done for all
pixels once, into lines of its own. What the named reductions compute of all cells of a window they do, ahead of the program; a
sum, product or extreme over all cells of a box else goes by rows and columns; one over cells alone is one operation of many
operands. All else is done cell by cell, reductions of one depth together, so that few values live at a time.
Next hop: _drivers/neighborhood/programs.pyx, which runs programs.
"""
import math
from dataclasses import dataclass, field

import numpy as np

from .._drivers import runtime as _runtime
from .._drivers.neighborhood.programs import CODES, KINDS, MOST_WIRES, STEP_FIELDS, Program
from . import wiring as _wiring
from .trace import KINDS as _CODES

_MOST_STEPS = 1 << 15
_KEPT_CELLS = 16  # values of larger arrays are computed again for the next depth, rather than kept
_NAMED_CELLS = 25  # of windows that are no boxes, from which on named reductions find extremes of all of them
_NAMED_SUMS = 225  # of boxes, from which on named reductions sum all of them
_NAMED_VARIANCES = 49  # and squares around their mean
_runtime.face_seams("neighborhood", globals(), "_KEPT_CELLS", "_NAMED_CELLS", "_NAMED_SUMS", "_NAMED_VARIANCES")

_STEPS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "any": "bitwise_or", "all": "bitwise_and",
          "fmax": "fmax", "fmin": "fmin"}  # fmt: skip
_MANY = {"sum": "sum", "prod": "prod", "max": "greatest", "min": "least", "any": "greatest", "all": "least"}


class TooLong(Exception):
    """The program would have more steps than are worth it."""


@dataclass(frozen=True)
class Cell:
    line: int
    cell: int


@dataclass(frozen=True)
class Constant:
    code: str  # dtype
    word: int
    value: object = field(compare=False)


@dataclass(frozen=True)
class Value:
    number: int


@dataclass
class Step:
    """An operation: its kernel's dtype, what it makes, of which operands; of many operands `terms`, with `weights`.

    A "network" sorts its terms, and what it makes are steps of their own: each "ranked" is the sum of some of its ranks, of which
    `weights` are the first and the last. The `weights` of what is "named" are the name of a reduction, its parameter and the
    dtype that it gives.
    """

    name: str
    kind: str
    code: str
    operands: tuple
    terms: tuple = ()
    weights: tuple = ()
    box: bool = False
    raw: bool = False  # all that it depends on are cells of the array
    source: str = "u1"
    register: int = -1


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
    """

    def __init__(self, trace, result, box, dense, names):
        self.cells, self.names, self.named = trace.nodes[0].size, names, {}
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
        if not isinstance(self.result, Value) or self.steps[self.result.number].name == "named":
            self.result = self._emit("copy", _CODES[result.dtype], (self.result,))
        self._drop_dead()

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
        self.memo = {key: value for key, value in self.memo.items() if sizes[key[0]] <= _KEPT_CELLS}
        self.made = {}

    def _many(self, node, number, what):
        """The pointwise line and the cells of the terms of an element of a reduction, None if they are not cells."""
        found = self.pointwise(what)
        if found is None:
            return None
        terms = node.args[0].size // node.size
        where = self._map(what, node.args[0])[number * terms : (number + 1) * terms]
        return found[0], found[1][where]

    def _at_once(self, node, number):
        """An element of a reduction as one operation, None if it must go one term by one."""
        arg, op, code = node.args[0], node.params, _CODES[node.dtype]
        found = self._many(node, number, arg)
        if found is not None and op in _MANY:
            line, cells = found
            every = self._all(cells)
            name = {"any": "max", "all": "min"}.get(op, op)
            least = _NAMED_SUMS if op == "sum" else 1 if self.box else _NAMED_CELLS
            if every and name in self.names and self.cells >= least and (self._plain(line, node) if op == "sum" else line == 0):
                return self._by_name(name, 0.0, code)
            if self.boxes and every:
                return self._emit(_MANY[op], code, (line,), box=True)
            if len(cells) > 1:
                return self._emit(_MANY[op], code, (), terms=tuple(Cell(line, int(cell)) for cell in cells))
        terms = arg.size // node.size
        if op == "sum" and node.dtype.kind in "iu" and arg.op == "multiply":
            return self._choices(node, number, terms)
        if op != "sum" or node.dtype.kind != "f":
            return None
        if arg.op in ("pick", "sort"):
            return self._sum_of_ranked(node, number, terms)
        if arg.op not in ("multiply", "absolute"):
            return None
        if arg.op == "multiply" and arg.args[0] is not arg.args[1]:
            for x, y in (arg.args, arg.args[::-1]):
                found = self._many(node, number, x)
                if found is not None and y.op == "constant":
                    weights = y.value.reshape(-1)[self._map(y, arg)[number * terms : (number + 1) * terms]]
                    cells = tuple(Cell(found[0], int(cell)) for cell in found[1])
                    return self._emit("dot", code, (), terms=cells, weights=tuple(weights.tolist()))
            return None
        inner = arg.args[0]
        if inner.op != "subtract":
            return None
        for x, y in (inner.args, inner.args[::-1]):
            found = self._many(node, number, x)
            if found is not None and y.size == node.size and found[1].size == terms and self._same(y, arg, number, terms):
                variance = arg.op == "multiply" and self.cells >= _NAMED_VARIANCES and "var" in self.names
                if variance and self._is_mean(y, found, node):
                    size = self._constant(self.cells, node.dtype)
                    return self._emit("multiply", code, (self._by_name("var", 0.0, code), size))
                centre = self.element(y, int(self._map(y, arg)[number * terms]))
                name = "squares" if arg.op == "multiply" else "distances"
                return self._emit(name, code, (centre,), terms=tuple(Cell(found[0], int(cell)) for cell in found[1]))
        return None

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
        same = self._many(mean, 0, mean.args[0])
        return same is not None and same[0] == found[0] and self._all(same[1]) and bool((size.value == self.cells).all())

    def _by_name(self, name, value, code):
        """The value of a named reduction of all cells."""
        key = name, value, code
        if key not in self.named:
            self.named[key] = self._emit("named", code, (), weights=key)
        return self.named[key]

    def _choices(self, node, number, terms):
        """The sum of whole constants that booleans choose, in as few bytes as hold it."""
        arg = node.args[0]
        for truth, factor in (arg.args, arg.args[::-1]):
            if truth.op != "cast" or truth.args[0].dtype != np.dtype(bool) or factor.op != "constant":
                continue
            at = range(number * terms, (number + 1) * terms)
            factors = [int(factor.value.reshape(-1)[self._map(factor, arg)[i]]) for i in at]
            kind = next((np.dtype(code) for code in ("u1", "u2", "u4") if sum(factors) <= np.iinfo(code).max), None)
            if min(factors) < 0 or kind is None or kind.itemsize >= node.dtype.itemsize:
                continue
            total, code = None, _CODES[kind]
            for i, value in zip(at, factors, strict=True):
                chosen = self.element(truth.args[0], int(self._map(truth, arg)[i]))
                if isinstance(chosen, Constant):
                    chosen = self._emit("copy", "?", (chosen,))
                x = self._emit("select", code, (self._constant(value, kind), self._constant(0, kind), chosen))
                total = x if total is None else self._emit("add", code, (total, x))
            return self._emit("cast", _CODES[node.dtype], (total,), source=code)
        return None

    def _same(self, y, arg, number, terms):
        where = self._map(y, arg)[number * terms : (number + 1) * terms]
        return bool((where == where[0]).all())

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
        found = self.pointwise(node.args[0])
        if node.params == "quantile" and "rank" in self.names and found is not None and found[0] == 0 and self._all(found[1]):
            return self._by_name("rank", (-1, wire), _CODES[node.dtype])
        return self._emit("ranked", _CODES[node.dtype], (self._network(node, row),), weights=(wire, wire))

    def _sum_of_ranked(self, node, number, terms):
        """The sum of elements of one sorted row that follow each other, None if the terms are others."""
        found = set()
        for i in range(number * terms, (number + 1) * terms):
            arg = node.args[0]
            while arg.op == "pick" and len(arg.args) == 1:
                arg, i = arg.args[0], int(arg.value[i])
            if arg.op != "sort":
                return None
            found.add((arg, *divmod(i, arg.tail[-1])))
        ranks = sorted(rank for _, _, rank in found)
        if len({found_in[:2] for found_in in found}) > 1 or ranks != list(range(ranks[0], ranks[0] + terms)):
            return None
        network = self._network(*next(iter(found))[:2])
        return self._emit("ranked", _CODES[node.dtype], (network,), weights=(ranks[0], ranks[-1]))

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

    # ---- slots ----

    def _drop_dead(self):
        """Keeps the steps that the result needs, and gives them registers."""
        alive, last = set(), {}
        waiting = [self.result.number]
        while waiting:
            number = waiting.pop()
            if number in alive:
                continue
            alive.add(number)
            waiting += [operand.number for operand in self._used(self.steps[number]) if isinstance(operand, Value)]
        order = sorted(alive, key=lambda number: (self._made_at(number), number))
        for number in order:
            for operand in self._used(self.steps[number]):
                if isinstance(operand, Value):
                    last[operand.number] = self._made_at(number)
        free, self.registers, ends = [], 0, {}
        for number in order:
            if self.steps[number].name not in ("network", "named"):
                if not free:
                    free.append(self.registers)
                    self.registers += 1
                self.steps[number].register = free.pop()
                ends.setdefault(last.get(number), []).append(number)
            for ended in ends.pop(number, ()):
                free.append(self.steps[ended].register)
        self.order = order

    def _made_at(self, number):
        """The step that computes what a step makes: a network computes all that is ranked."""
        step = self.steps[number]
        return step.operands[0].number if step.name == "ranked" else number

    @staticmethod
    def _used(step):
        return (*step.operands, *step.terms)

    def needed_lines(self):
        """The lines whose cells outputs see, and the array's."""
        needed = {0}
        for number in self.order:
            step = self.steps[number]
            needed |= {operand.line for operand in self._used(step) if isinstance(operand, Cell)}
            needed |= {step.operands[0]} if step.box else set()
        return needed

    def used_lines(self):
        """The lines that are computed, in the order in which they are."""
        used = self.needed_lines()
        for line in range(len(self.lines) - 1, 0, -1):
            if line in used:
                used |= {operand for operand in self.pixels[line - 1].operands if isinstance(operand, int)}
        return sorted(used - {0})

    def program(self):
        """The Program that the driver runs."""
        needed = self.needed_lines()
        kept = sorted(needed)
        used = self.used_lines()
        lines = kept + [line for line in used if line not in needed]
        place = {line: i for i, line in enumerate(lines)}
        constants, cells = {}, {}
        for number in self.order:
            for operand in self._used(self.steps[number]):
                if isinstance(operand, Cell):
                    cells.setdefault(operand, len(cells))
                elif isinstance(operand, Constant):
                    constants.setdefault(operand.word, len(constants))
        for line in used:
            for operand in self.pixels[line - 1].operands:
                if isinstance(operand, Constant):
                    constants.setdefault(operand.word, len(constants))

        place_of_named = {Value(number): i for i, number in enumerate(n for n in self.order if self.steps[n].name == "named")}

        def slot(operand):
            if isinstance(operand, Value) and operand in place_of_named:
                return self.registers + len(constants) + len(cells) + place_of_named[operand]
            if isinstance(operand, Value):
                return self.steps[operand.number].register
            if isinstance(operand, Constant):
                return self.registers + constants[operand.word]
            return self.registers + len(constants) + cells[operand]

        terms, weights, outputs, pixels = [], bytearray(), [], []
        for number in self.order:
            step = self.steps[number]
            if step.name in ("ranked", "named"):
                continue
            row = self._row(step, [place[step.operands[0]]] if step.box else [slot(operand) for operand in step.operands])
            row["dst"] = max(step.register, 0)
            table, outputs_of = np.array(step.weights, step.code), []
            if step.name == "network":
                ranked = [self.steps[other] for other in self.order if self.steps[other].operands == (Value(number),)
                          and self.steps[other].name == "ranked"]  # fmt: skip
                row["source"], row["outputs"], outputs_of = step.raw, len(ranked), [one.register for one in ranked]
                table = _wiring.wiring(len(step.terms), [one.weights for one in ranked])
            if step.name in ("least", "greatest"):
                read = {cell.line for cell in step.terms} if step.terms else {step.operands[0]}
                row["source"] = read == {0}
            if step.terms:
                row["terms"], row["count"], row["b"] = len(terms), len(step.terms), len(weights)
                terms += [slot(term) for term in step.terms] + outputs_of
                weights += table.tobytes()
                weights += bytes(-len(weights) % 8)
            outputs.append([row[name] for name in STEP_FIELDS])
        for line in used:
            step = self.pixels[line - 1]
            operands = [place[operand] if isinstance(operand, int) else len(lines) + constants[operand.word]
                        for operand in step.operands]  # fmt: skip
            row = self._row(step, operands)
            row["dst"] = place[line]
            pixels.append([row[name] for name in STEP_FIELDS])
        listed = [(place[cell.line], cell.cell) for cell in cells]
        weights = np.frombuffer(bytes(weights), np.uint8)
        codes = [self.lines[line] for line in lines]
        result = slot(self.result), self.steps[self.result.number].code
        named = [self.steps[value.number].weights for value in place_of_named]
        return Program(pixels, outputs, terms, list(constants), weights, listed, codes, len(kept), self.registers, named, result)

    def _row(self, step, slots):
        row = dict.fromkeys(STEP_FIELDS, 0)
        row["code"], row["kind"], row["source"], row["box"] = CODES[step.name], KINDS[step.kind], KINDS[step.source], step.box
        row.update(zip("abc", slots, strict=False))
        row["scalars"] = sum(bit for bit, operand in zip((1, 2), step.operands, strict=False) if isinstance(operand, Constant))
        return row


def _picked(node):
    """What a single element is picked from, if that is one itself."""
    while node.op == "pick" and len(node.args) == 1 and node.args[0].size == 1:
        node = node.args[0]
    return node
