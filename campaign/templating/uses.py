"""Finds the names and columns that a template reads, and those that it prints without a fallback."""

from __future__ import annotations

from jinja2 import nodes


class Uses:
    """The names and columns that a template uses, and where.

    `loaded` and `columns`: name → first line, unless it has a `default`. `defined`: names tested with `is
    defined`. `tested`: names with a fallback for a blank one. `printed`: name → first line that prints it;
    `under`: name → for each place that prints it, the names in the `if` around it. `read_at`: line → the
    names that it reads. `subjects`: line and filter or attribute → the names that it is applied to.
    `whole_row`: it also uses `row` without a column's name.
    """

    def __init__(self, tree: nodes.Template) -> None:
        self.loaded: dict[str, int] = {}
        self.columns: dict[str, int] = {}
        self.stored: set[str] = set()
        self.defined: set[str] = set()
        self.tested: set[str] = set()
        self.printed: dict[str, int] = {}
        self.under: dict[str, list[frozenset[str]]] = {}
        self._tests: frozenset[str] = frozenset()  # of the branches that are being visited
        self.read_at: dict[int, set[str]] = {}
        self.subjects: dict[tuple[int, str], set[str]] = {}
        self._visit(tree, printed=False, optional=False)
        rows = sum(node.name == "row" and node.ctx == "load" for node in tree.find_all(nodes.Name))
        named = sum(
            column and name in self.columns
            for name, column in map(_name, tree.find_all((nodes.Getitem, nodes.Getattr)))
        )
        self.whole_row = rows > named and "row" not in self.stored
        if "row" in self.stored:  # a loop's or a macro's own row
            self.columns.clear()

    def _visit(self, node: nodes.Node, *, printed: bool, optional: bool) -> None:
        name, column = _name(node)
        if isinstance(node, nodes.Name) and node.ctx != "load":
            self.stored.add(node.name)
        elif name is not None:
            self.read_at.setdefault(node.lineno, set()).add(name)
            if printed:
                self.printed.setdefault(name, node.lineno)
                self.under.setdefault(name, []).append(self._tests)
            if not optional:
                (self.columns if column else self.loaded).setdefault(name, node.lineno)
        if isinstance(node, nodes.Filter | nodes.Getattr) and node.node is not None:
            what = node.name if isinstance(node, nodes.Filter) else node.attr
            self.subjects.setdefault((node.lineno, what), set()).update(_names_in(node.node))
        match node:
            case nodes.Macro(name=own) | nodes.Import(target=own):
                self.stored.add(own)
            case nodes.FromImport(names=imported):
                self.stored |= {one if isinstance(one, str) else one[1] for one in imported}
            case nodes.Filter(name="default" | "d"):
                optional = True
                if len(node.args) > 1 or node.kwargs:  # default(..., true) applies to a blank one too
                    self.tested |= _names_in(node)
            case nodes.Test(name="defined" | "undefined"):
                self.defined |= _names_in(node.node)
                optional = True
            case nodes.If() | nodes.CondExpr():
                self._branch(node, printed=printed, optional=optional)
                return
            case nodes.Or():
                self.tested |= _names_in(node.left)
            case nodes.Output():
                printed = True
            case _:
                pass
        for child in node.iter_child_nodes():
            # A `default` does not apply to the filter's arguments: {{ a|default(b) }} needs b.
            inherits = not isinstance(node, nodes.Filter) or child is node.node
            self._visit(child, printed=printed, optional=optional and inherits)

    def _branch(self, node: nodes.If | nodes.CondExpr, *, printed: bool, optional: bool) -> None:
        """Visit a condition: names printed in a branch depend on it, unless every branch prints them."""
        branches: list[list[nodes.Node]]
        if isinstance(node, nodes.If):
            tests = [node.test, *(other.test for other in node.elif_)]
            branches = [[*node.body], *([*other.body] for other in node.elif_), [*node.else_]]
        else:
            tests, branches = [node.test], [[node.expr1], [node.expr2] if node.expr2 is not None else []]
        for test in tests:
            self.tested |= _names_in(test)
            self._visit(test, printed=False, optional=optional)
        outer, under = self._tests, self.under
        self._tests = outer.union(*map(_names_in, tests))
        everywhere: set[str] | None = None
        for branch in branches:
            self.under = {}
            for child in branch:
                self._visit(child, printed=printed, optional=optional)
            everywhere = set(self.under) if everywhere is None else everywhere & set(self.under)
            for name, places in self.under.items():
                under.setdefault(name, []).extend(places)
        self._tests, self.under = outer, under
        for name in everywhere or ():
            under[name].append(outer)


def _name(node: nodes.Node) -> tuple[str | None, bool]:
    """Return the name that a node reads, and whether it is a column read through `row`."""
    match node:
        case nodes.Name(name=name, ctx="load"):
            return name, False
        case nodes.Getitem(node=nodes.Name(name="row"), arg=nodes.Const(value=str() as column)):
            return column, True
        case nodes.Getattr(node=nodes.Name(name="row"), attr=column) if not hasattr(dict, column):
            return column, True
        case _:
            return None, False


def _names_in(node: nodes.Node) -> set[str]:
    found = {_name(node)[0]} | {
        _name(child)[0] for child in node.find_all((nodes.Name, nodes.Getitem, nodes.Getattr))
    }
    return {name for name in found if name is not None}
