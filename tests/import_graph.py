"""The imports between the modules of a package, read from its source."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """A line of ``importer`` that imports ``imported``; both are dotted names of modules."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def module_files(package: Path) -> dict[str, Path]:
    """Map the dotted name of each module of a package to its file."""
    files = {}
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


def read_imports(package: Path) -> list[Import]:
    """Read all imports inside a package, those inside functions too.

    What only type checkers read (``if TYPE_CHECKING:``) does not count. A name that is imported
    from a package counts as the module of that name where there is one.
    """
    files = module_files(package)
    found = []
    for module, file in files.items():
        for node in _read_when_running(ast.parse(file.read_text())):
            for target in _targets(node, module, file.name == "__init__.py", files):
                found.append(Import(module, target, node.lineno))
    return found


def find_circle(imports: list[Import]) -> list[Import]:
    """Return imports that lead from a module back to itself, or nothing where there are none."""
    leaving: dict[str, list[Import]] = {}
    for entry in imports:
        leaving.setdefault(entry.importer, []).append(entry)
    done: set[str] = set()

    def visit(module: str, path: list[Import]) -> list[Import]:
        for entry in leaving.get(module, ()):
            walked = [step.importer for step in path] + [module]
            if entry.imported in walked:
                return [*path, entry][walked.index(entry.imported) :]
            if entry.imported not in done and (circle := visit(entry.imported, [*path, entry])):
                return circle
        done.add(module)
        return []

    for module in leaving:
        if module not in done and (circle := visit(module, [])):
            return circle
    return []


def path_between(imports: list[Import], start: str, goal: str) -> list[Import]:
    """Return the shortest chain of imports from a module to one inside ``goal``, if any."""
    paths: dict[str, list[Import]] = {start: []}
    queue = [start]
    for module in queue:
        for entry in imports:
            if entry.importer != module or entry.imported in paths:
                continue
            paths[entry.imported] = [*paths[module], entry]
            if f"{entry.imported}.".startswith(f"{goal}."):
                return paths[entry.imported]
            queue.append(entry.imported)
    return []


def _read_when_running(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _read_when_running(ast.Module([other], []))
        else:
            yield from _read_when_running(child)


def _targets(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool, files: Mapping[str, Path]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in files)
        return
    source = node.module or ""
    if node.level:
        parts = module.split(".")
        base = parts[: len(parts) - node.level + is_package]
        source = ".".join([*base, *([node.module] if node.module else [])])
    for alias in node.names:
        name = f"{source}.{alias.name}"
        if name in files:
            yield name
        elif source in files:
            yield source
