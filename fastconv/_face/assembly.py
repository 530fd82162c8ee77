"""The steps of a program as the driver has them: without those that nothing needs, with registers, as rows of numbers.

Next hop: _drivers/neighborhood/programs.pyx, which runs programs.
"""
from dataclasses import dataclass, field

import numpy as np

from .._drivers.neighborhood.programs import CODES, KINDS, STEP_FIELDS, Program
from . import wiring as _wiring


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
    number: int  # of the step that makes it


@dataclass(frozen=True)
class Shifted:
    """A value of outputs that lie so many columns behind."""

    number: int
    by: int


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
    wide: int = 0  # outputs behind those of a strip that it can be computed for, too, and then is
    source: str = "u1"
    register: int = -1


class Assembly:
    """What is left of steps for a result.

    Parameters
    ----------
    lines : dtype codes; line 0 is the array's
    pixels : a Step for each line but the first
    steps : of the outputs
    result : Value
    """

    def __init__(self, lines, pixels, steps, result):
        self.lines, self.pixels, self.steps, self.result = lines, pixels, steps, result
        self._drop_dead()

    def _drop_dead(self):
        """Keeps the steps that the result needs, and gives them registers."""
        alive, last = set(), {}
        waiting = [self.result.number]
        while waiting:
            number = waiting.pop()
            if number in alive:
                continue
            alive.add(number)
            waiting += [operand.number for operand in self._values(self.steps[number])]
        order = sorted(alive, key=lambda number: (self._made_at(number), number))
        for number in order:
            for operand in self._values(self.steps[number]):
                last[operand.number] = self._made_at(number)
        wide = dict.fromkeys(order, 0)
        for number in reversed(order):
            self.steps[number].wide = wide[number]
            for operand in self._values(self.steps[number]):
                by = operand.by if isinstance(operand, Shifted) else 0
                wide[operand.number] = max(wide[operand.number], by + wide[number])
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

    def _values(self, step):
        return [operand for operand in self._used(step) if isinstance(operand, (Value, Shifted))]

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

        behind, views = self.registers + len(constants) + len(cells), {}

        def slot(operand):
            if isinstance(operand, Shifted):
                step = self.steps[operand.number]
                view = step.register, operand.by * np.dtype(step.code).itemsize
                return behind + len(place_of_named) + views.setdefault(view, len(views)) if operand.by else step.register
            if operand in place_of_named:
                return behind + place_of_named[operand]
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
                read = step.terms or (Cell(step.operands[0], 0),)
                row["source"] = all(isinstance(cell, Cell) and cell.line == 0 for cell in read)
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
        return Program(pixels, outputs, terms, list(constants), weights, listed, codes, len(kept), self.registers, named,
                       list(views), result)  # fmt: skip

    def _row(self, step, slots):
        row = dict.fromkeys(STEP_FIELDS, 0)
        row["code"], row["kind"], row["source"], row["box"] = CODES[step.name], KINDS[step.kind], KINDS[step.source], step.box
        row["wide"] = step.wide
        row.update(zip("abc", slots, strict=False))
        row["scalars"] = sum(bit for bit, operand in zip((1, 2), step.operands, strict=False) if isinstance(operand, Constant))
        return row
