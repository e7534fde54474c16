"""What may be changed in a module, one change at a time.

A mutant is the module's text with one expression or statement replaced, so that lines keep their
numbers and the change can be named by the text before and after it.
"""

import ast
from collections import Counter
from dataclasses import dataclass, replace
from typing import cast

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
# What a call of these does is for people; no test should depend on its words.
_FOR_PEOPLE = frozenset({"logger", "print"})


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        line: where it is.
        place: the function or class that it is in, with those around it.
        before: the text that is replaced, on one line.
        after: the text in its place.
        source: the whole module with the change.
        number: which one it is of those in the module that read the same.
    """

    line: int
    place: str
    before: str
    after: str
    source: str
    number: int = 1

    @property
    def name(self) -> str:
        """The change in words, which stay the same when lines move."""
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{self.place}: {self.before} -> {self.after}{again}"


def mutants(source: str) -> list[Mutant]:
    """Every change of a module, in the order of its lines, none twice.

    Raises:
        SyntaxError: it is no Python.
    """
    found = _Finder(source)
    found.visit(ast.parse(source))
    different = {one.source: one for one in found.mutants}.values()
    seen: Counter[str] = Counter()
    numbered = []
    for one in sorted(different, key=lambda one: (one.line, one.name)):
        seen[one.name] += 1
        numbered.append(replace(one, number=seen[one.name]))
    return numbered


class _Finder(ast.NodeVisitor):
    """Walks a module and leaves out what no test can or should see changed.

    Left out are annotations, docstrings, texts, decorators, imports, type aliases, constants of a
    module, and what is logged or printed.
    """

    def __init__(self, source: str) -> None:
        self.mutants: list[Mutant] = []
        self._source = source.encode()
        lines = self._source.splitlines(keepends=True)
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._places: list[str] = []

    # --- what is not walked into

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Its value only."""
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations are left out."""

    def visit_Import(self, node: ast.Import) -> None:
        """Left out."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Left out."""

    def visit_TypeAlias(self, node: ast.TypeAlias) -> None:
        """Left out."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Left out: it is for the type checker."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Left out: mostly words for people."""

    # --- places

    def _enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._places.append(node.name)
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._places.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Its defaults and its body."""
        self._enter(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Its defaults and its body."""
        self._enter(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Its body."""
        self._enter(node)

    # --- statements

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call for its effect is left out."""
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(value, ast.Call) or _root(value.func) in _FOR_PEOPLE:
            if isinstance(node.value, ast.Yield | ast.YieldFrom):
                self.generic_visit(node)
            return
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """An error is not raised."""
        self._replace(node, "pass")

    def visit_Assign(self, node: ast.Assign) -> None:
        """What is kept on an object is not kept; a named constant is a decision, and is left."""
        if not self._places and all(
            isinstance(target, ast.Name) and target.id.isupper() for target in node.targets
        ):
            return
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass")
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        """Nothing is deleted."""
        self._replace(node, "pass")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """The last counts in place of the sum, and the other operation."""
        target = ast.unparse(node.target)
        value = ast.unparse(node.value)
        self._replace(node, f"{target} = {value}")
        other = _OPERATORS.get(type(node.op))
        if other is not None and not _is_text(node.value):
            self._replace(
                node, ast.unparse(ast.AugAssign(target=node.target, op=other(), value=node.value))
            )
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        """Nothing is returned."""
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and not isinstance(node.value.value, str)):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_Continue(self, node: ast.Continue) -> None:
        """A loop ends early."""
        self._replace(node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        """A loop goes on."""
        self._replace(node, "continue")

    def visit_If(self, node: ast.If) -> None:
        """The other way."""
        if _root(node.test) != "TYPE_CHECKING":
            self._negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        """The other way; a loop for ever is left one."""
        if not isinstance(node.test, ast.Constant):
            self._negate(node.test)
            self.visit(node.test)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """The other way."""
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """The other items."""
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    # --- expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        """Each comparison, its edge moved or turned round."""
        for at, operator in enumerate(node.ops):
            ops = list(node.ops)
            ops[at] = _COMPARISONS[type(operator)]()
            self._replace(
                node,
                ast.unparse(ast.Compare(left=node.left, ops=ops, comparators=node.comparators)),
            )
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """`and` for `or`, `or` for `and`."""
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._replace(node, f"({ast.unparse(ast.BoolOp(op=other, values=node.values))})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """What is turned round is left as it is."""
        if isinstance(node.op, ast.Not | ast.USub):
            self._replace(node, ast.unparse(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """The other operation."""
        other = _OPERATORS.get(type(node.op))
        if other is not None and not _is_text(node.left) and not _is_text(node.right):
            changed = ast.BinOp(left=node.left, op=other(), right=node.right)
            self._replace(node, f"({ast.unparse(changed)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Another number, the other truth."""
        if isinstance(node.value, bool):
            self._replace(node, repr(not node.value))
        elif isinstance(node.value, int | float):
            self._replace(node, repr(node.value + 1))

    def _negate(self, test: ast.expr) -> None:
        # A single comparison or a `not` is turned round where it is visited.
        if isinstance(test, ast.Compare):
            if len(test.ops) == 1 and isinstance(
                test.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn
            ):
                return
        elif isinstance(test, ast.UnaryOp):
            return
        self._replace(test, f"(not ({ast.unparse(test)}))")

    def _replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        start = self._starts[node.lineno - 1] + node.col_offset
        end_line, end_column = cast("int", node.end_lineno), cast("int", node.end_col_offset)
        end = self._starts[end_line - 1] + end_column
        changed = self._source[:start] + text.encode() + self._source[end:]
        before = " ".join(self._source[start:end].decode().split())
        place = ".".join(self._places) or "module"
        self.mutants.append(Mutant(node.lineno, place, before, text, changed.decode()))


def _root(node: ast.expr) -> str:
    """The name that an expression begins with."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )
