# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts that the code itself says to a person (reasons, refusals, errors, what to do, captions), read from its syntax trees.

templates.py            what of them has no translation, as lines for plugins/plugin_utils/catalog/messages.yml
templates.py --all      all of them, with the place of each

A text is a literal, or a literal template (%s) and its parts. Where one is handed on by a name, a table, a parameter or what a function
of the same file returns, it is followed to where it is written.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
ROOMS = ("module_utils", "plugin_utils", "action")
CATALOGUE = PLUGINS / "plugin_utils" / "catalog" / "messages.yml"
# Calls that say something: the places of their texts among the arguments, and the names of those given by name.
CALLS = {
    "StackError": ((0,), ("message", "fix")),
    "Refused": ((0, 1), ("message", "fix")),
    "Unseen": ((2, 3), ("reason", "fix")),
    "unseen": ((0, 2), ("reason", "fix")),
    "Finding": ((3,), ("evidence",)),
    "Clear": ((2,), ("evidence",)),
}
# What is said under this name in any call.
ALWAYS = ("lasting",)
# Entries of dictionaries that are shown, and functions of remedies that answer in words.
ENTRIES = ("reason", "fix", "refused", "by_hand")
DIFFERENCE = ("what", "before", "after")
ANSWERS = ("verify", "lasting", "_lasting", "_danger")
# Calls that hand on what they are given.
PASSED = ("str", "cut", "sorted", "list", "next", "tuple", "dict", "plain", "filter", "text", "wait", "append", "extend")
PASSED_WITH = ("join", "strip", "rstrip", "get", "pop", "setdefault")
_DEEPEST = 12
_PLACE = re.compile(r"%(?:\d+\$)?[-#0 +]*\d*(?:\.\d+)?[sdrgfxo]")


class File:
    """One source file: what its names stand for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.nodes = list(ast.walk(self.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.functions: dict[str, list[ast.FunctionDef]] = {}
        self.calls: dict[str, list[ast.Call]] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        self.given: dict[tuple[ast.AST | None, str], list[ast.expr]] = {}
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.ImportFrom):
                self.imports.update({alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names})
            elif isinstance(node, ast.Call):
                self.calls.setdefault(_name(node.func), []).append(node)
            for name, value in _given(node):
                self.given.setdefault((self.function_of(node), name), []).append(value)

    def function_of(self, node: ast.AST) -> ast.FunctionDef | None:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef):
                return node
        return None


class Reader:
    """Reads all files and follows texts through them. found: {text: where it is written}."""

    def __init__(self, plugins: Path = PLUGINS) -> None:
        paths = sorted(path for room in ROOMS for path in (plugins / room).rglob("*.py"))
        self.files = {path.relative_to(plugins).with_suffix("").as_posix(): File(path) for path in paths}
        self.found: dict[str, str] = {}
        self._seen: set[tuple[ast.AST, bool]] = set()
        for file in self.files.values():
            for node in file.nodes:
                for text, short in self._said(file, node):
                    self._follow(file, text, short)

    def _said(self, file: File, node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
        """The expressions that become texts here, each with whether one word alone is a text there."""
        if isinstance(node, ast.Call):
            name = _name(node.func)
            places, names = CALLS["StackError" if name.endswith("StackError") else name] if name.endswith("StackError") or name in CALLS else ((), ())
            yield from ((node.args[place], False) for place in places if place < len(node.args))
            yield from ((one.value, False) for one in node.args if places and isinstance(one, ast.Starred))
            yield from ((one.value, False) for one in node.keywords if one.arg in names + ALWAYS)
        elif isinstance(node, ast.Dict):
            keys = {key.value: value for key, value in zip(node.keys, node.values) if isinstance(key, ast.Constant)}
            if set(DIFFERENCE) <= set(keys):
                yield from ((keys[key], True) for key in DIFFERENCE)
            yield from ((keys[key], False) for key in ENTRIES if key in keys)
        elif isinstance(node, ast.FunctionDef) and node.name in ANSWERS and "/act/" in file.path.as_posix():
            yield from ((one, False) for one in _returns(node))

    def _follow(self, file: File, node: ast.AST | None, short: bool, deep: int = 0) -> None:
        """Collect the texts that this expression may be."""
        if node is None or deep > _DEEPEST or (node, short) in self._seen:
            return
        self._seen.add((node, short))
        inner: list[ast.expr] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _is_text(node.value, short):
                self._found(file, node, node.value)
        elif isinstance(node, ast.BinOp):
            template = _template(node)
            if template and _is_text(template, short):
                self._found(file, node, template)
            inner = [one for one in _operands(node) if not (template and isinstance(one, ast.Constant))]
        elif isinstance(node, ast.IfExp):
            inner = [node.body, node.orelse]
        elif isinstance(node, (ast.BoolOp, ast.Dict)):
            inner = node.values
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            inner = node.elts
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            inner = [node.elt]
        elif isinstance(node, (ast.Starred, ast.Subscript, ast.NamedExpr, ast.DictComp)):
            inner = [node.value]
        elif isinstance(node, ast.Call):
            self._call(file, node, short, deep)
        elif isinstance(node, ast.Name):
            self._variable(file, node, short, deep)
        for one in inner:
            self._follow(file, one, short, deep + 1)

    def _found(self, file: File, node: ast.expr, text: str) -> None:
        self.found.setdefault(text, "%s:%d" % (file.path.relative_to(PLUGINS.parent), node.lineno))

    def _call(self, file: File, node: ast.Call, short: bool, deep: int) -> None:
        name = _name(node.func)
        if name in PASSED:
            handed = list(node.args)
        elif name in PASSED_WITH and isinstance(node.func, ast.Attribute):
            handed = [node.func.value, *node.args[name in ("get", "pop", "setdefault") :]]
        else:
            handed = []
        for one in handed:
            self._follow(file, one, short, deep + 1)
        for where, function in self._functions(file, node.func):
            for one in _returns(function):
                self._follow(where, one, short, deep + 1)

    def _functions(self, file: File, called: ast.expr) -> list[tuple[File, ast.FunctionDef]]:
        """What is called, where it is a function of ours."""
        name, of = _name(called), getattr(called, "value", None)
        if isinstance(called, ast.Name) and name in file.imports:
            other, name = self._file(file.imports[name][0]), file.imports[name][1]
        elif isinstance(of, ast.Name) and of.id in file.imports:
            module, imported = file.imports[of.id]
            other = self._file(module + "." + imported) or self._file(module)
        else:
            other = file if isinstance(called, ast.Name) or (isinstance(of, ast.Name) and of.id in ("self", "cls")) else None
        return [(other, one) for one in other.functions.get(name, [])] if other else []

    def _file(self, module: str) -> File | None:
        return self.files.get(module.rpartition(".plugins.")[2].replace(".", "/"))

    def _variable(self, file: File, node: ast.Name, short: bool, deep: int) -> None:
        """What a name was given: in its function, as an argument by callers of the same file, or as a constant."""
        name: str = node.id
        if name in file.imports:
            other = self._file(file.imports[name][0])
            for value in other.given.get((None, file.imports[name][1]), []) if other else []:
                self._follow(other or file, value, short, deep + 1)
            return
        function = file.function_of(node)
        while True:
            arguments = [one.arg for one in function.args.args + function.args.kwonlyargs] if function else []
            values = file.given.get((function, name), [])
            if function is not None and name in arguments:
                values = values + self._arguments(file, function, name)
            if values or function is None:
                break
            function = file.function_of(function)
        for value in values:
            self._follow(file, value, short, deep + 1)

    def _arguments(self, file: File, function: ast.FunctionDef, name: str) -> list[ast.expr]:
        """What callers of the same file give for an argument, and what it is by default."""
        given = [default for one, default in zip(function.args.kwonlyargs, function.args.kw_defaults) if one.arg == name and default is not None]
        names = [one.arg for one in function.args.args]
        defaults = dict(zip(reversed(names), reversed(function.args.defaults)))
        given += [defaults[name]] if name in defaults else []
        place = names.index(name) - (names[0] in ("self", "cls")) if name in names else len(names)
        called = function.name if function.name != "__init__" else getattr(file.parents[function], "name", "")
        for call in file.calls.get(called, []):
            given += [call.args[place]] if 0 <= place < len(call.args) else []
            given += [keyword.value for keyword in call.keywords if keyword.arg == name]
        return given


def _template(node: ast.expr) -> str:
    """The template that literals, % and + make together; "" where no literal is among them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _template(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _template(node.left), _template(node.right)
        return (left or "%s") + (right or "%s") if left or right else ""
    return ""


def _operands(node: ast.expr) -> list[ast.expr]:
    """What stands in the places of such a template."""
    if not isinstance(node, ast.BinOp):
        return [node]
    if isinstance(node.op, ast.Mod):
        return ([] if _template(node.left) else [node.left]) + [node.right]
    return _operands(node.left) + _operands(node.right)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _returns(function: ast.FunctionDef) -> list[ast.expr]:
    inner = {one for node in ast.walk(function) if isinstance(node, ast.FunctionDef) and node is not function for one in ast.walk(node)}
    found: list[ast.expr] = []
    for node in ast.walk(function):
        if node not in inner and isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            found.append(node.value)
    return found


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that this statement gives something, with what it gives: by =, +=, in a loop, by append."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple):
                apart = isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(target.elts)
                for place, one in enumerate(target.elts):
                    yield _name(one), node.value.elts[place] if apart and isinstance(node.value, ast.Tuple) else node.value
            else:
                yield _name(target.value if isinstance(target, ast.Subscript) else target), node.value
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value is not None:
        yield _name(node.target), node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield from ((one.id, node.iter) for one in ast.walk(node.target) if isinstance(one, ast.Name))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("append", "extend", "insert") and node.args:
        yield _name(node.func.value), node.args[-1]


def _is_text(text: str, short: bool) -> bool:
    """Whether these are words for a person: a sentence or a part of one; a single word only where it stands in a difference."""
    words = _PLACE.sub("", text)
    return bool(re.search(r"[A-Za-z]{2}", words)) and (" " in text.strip() or (short and text.islower()))


def untranslated() -> dict[str, str]:
    """{text: where it is written} of what the catalogue does not hold."""
    known = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))["zh-TW"] if CATALOGUE.exists() else {}
    return {text: place for text, place in Reader().found.items() if text not in known}


def line(text: str) -> str:
    """A text as a key of the catalogue."""
    return json.dumps(text, ensure_ascii=False)


def main() -> int:
    if sys.argv[1:] == ["--all"]:
        for text, place in Reader().found.items():
            print("%s\t%r" % (place, text))
        return 0
    for text in untranslated():
        print("  %s:" % line(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
