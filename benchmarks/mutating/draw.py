"""Mutants: every small wrong change of a file's code, and a random choice of them.

Changed are operators, comparisons, numbers, truth values, conditions, signs, pairs of arguments, ends of slices, functions
that have a counterpart, and statements that act (left out). Not changed is what no behaviour hangs on: types, docstrings,
messages of errors, `__repr__`, decorators, `strict=` of `zip`; nor `example`, which is for tests.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

OPERATORS = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.Pow: ("**", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
}  # fmt: skip
COMPARISONS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("sqrt", "square"), ("exp", "log"), ("expm1", "log1p"), ("sin", "cos"),
    ("any", "all"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("cumsum", "cumprod"), ("argmin", "argmax"),
)  # fmt: skip
COUNTERPARTS = dict(PAIRS) | {other: name for name, other in PAIRS}
SILENT = {"__repr__", "__str__", "example"}
Change = tuple[int, int, str]


@dataclass(frozen=True)
class Mutant:
    """A change of one place: `before` and `after` are the lines it touches."""

    file: str
    before: str
    after: str
    start: int
    end: int
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.before, self.after

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def draw(root: Path, patterns: tuple[str, ...], count: int, seed: int) -> list[Mutant]:
    """So many mutants of the files, without order. Each is ranked by its own hash, so a change elsewhere moves no other."""
    files = sorted({path for pattern in patterns for path in root.glob(pattern)})
    found = {mutant.key: mutant for path in files for mutant in mutants(path, root)}
    return sorted(found.values(), key=lambda mutant: sha256(f"{seed} {mutant.key}".encode()).digest())[:count]


def mutants(path: Path, root: Path) -> Iterator[Mutant]:
    """All of one file that are still Python."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        return starts[line - 1] + column

    for node in living(ast.parse(source)):
        for first, last, text in changes(node, source, place):
            begin = source.rfind(b"\n", 0, first) + 1
            stop = source.find(b"\n", last)
            made = (source[begin:first] + text.encode() + source[last:stop]).decode()
            mutant = Mutant(
                str(path.relative_to(root)), source[begin:stop].decode().strip(), made.strip(), first, last, text
            )
            try:
                ast.parse(mutant.applied(source))
            except SyntaxError:
                continue
            yield mutant


def living(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that behaviour hangs on."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.FunctionDef) and node.name in SILENT:
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (isinstance(child, ast.keyword) and child.arg == "strict"):
                yield from living(child)


def changes(node: ast.AST, source: bytes, place: Callable[[int, int], int]) -> Iterator[Change]:
    """Of one node: from where to where, and what comes there."""

    def span(part: ast.AST) -> tuple[int, int]:
        return place(part.lineno, part.col_offset), place(part.end_lineno, part.end_col_offset)  # type: ignore[attr-defined]

    def text(part: ast.AST) -> str:
        first, last = span(part)
        return source[first:last].decode()

    def between(left: ast.AST, right: ast.AST, pair: tuple[str, str] | None) -> Iterator[Change]:
        if pair is not None:
            at = source.index(pair[0].encode(), span(left)[1], span(right)[0])
            yield at, at + len(pair[0]), pair[1]

    match node:
        case ast.BinOp(left=left, op=op, right=right):
            yield from between(left, right, OPERATORS.get(type(op)))
        case ast.AugAssign(target=target, op=op, value=value):
            yield from between(target, value, OPERATORS.get(type(op)))
            yield *span(node), "pass"
        case ast.Compare(left=left, ops=ops, comparators=others):
            for one, sign, other in zip([left, *others], ops, others, strict=False):
                yield from between(one, other, COMPARISONS.get(type(sign)))
        case ast.BoolOp(op=op, values=values):
            yield from between(values[0], values[1], ("and", "or") if isinstance(op, ast.And) else ("or", "and"))
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield *span(node), text(operand)
        case ast.Constant(value=value) if isinstance(value, bool | int | float):
            yield from ((*span(node), other) for other in numbers(value))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield *span(test), f"not ({text(test)})"
        case ast.Slice():
            for end in (node.lower, node.upper):
                if end is not None and not isinstance(end, ast.Constant):
                    yield *span(end), f"{text(end)} + 1"
        case ast.Call(args=[one, other]) if type(one) is type(other) and text(one) != text(other):
            yield span(one)[0], span(other)[1], f"{text(other)}, {text(one)}"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield *span(node), "pass"
        case ast.Expr(value=ast.Call()):
            yield *span(node), "pass"
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in COUNTERPARTS:
            last = span(node)[1]
            yield last - len(name), last, COUNTERPARTS[name]


def numbers(value: bool | float) -> list[str]:
    """What a number or truth value becomes."""
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int):
        return [str(value + 1), *(["0"] if value == 1 else [])]
    return [repr(value * 1.1 if value else 1.0)]
