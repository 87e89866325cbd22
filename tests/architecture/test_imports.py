"""Imports between the rooms of the package point downwards only, and in no circle."""

from pathlib import Path

import pytest
from import_graph import Import, find_circle, module_files, path_between, read_imports

import tbd
from tbd.distill import DistillationTerm

PACKAGE = Path(tbd.__file__).parent

# From top to bottom. Rooms of one line do not import one another.
LAYERS = (
    ("cli", "api"),
    ("studies", "projects"),
    ("engine",),
    ("detectors",),
    ("distill", "evaluation"),
    ("harmony", "visualization"),
    ("predictions", "losses", "modules", "generative", "heads", "datasets"),
    ("compat", "registry", "precision", "checks", "files", "interruption"),
    ("foreign_arguments",),
    ("arguments",),
)
# What users enter by: it shows what is inside, and nothing inside imports it.
DOORS = ("tbd", "tbd.__main__")
# What a term can read without asking what a head predicts.
MAPS = {"features", "backbone", "head_features", "images"}


def room(module: str) -> str:
    return module.split(".")[1]


def breaches(imports: list[Import], layers: tuple[tuple[str, ...], ...]) -> list[str]:
    """Describe the imports that do not point downwards."""
    depths = {name: depth for depth, names in enumerate(layers) for name in names}
    found = []
    for entry in imports:
        if entry.importer in DOORS:
            continue
        if entry.imported in DOORS:
            found.append(f"{entry}, the door, not the module that has it")
            continue
        upper, lower = room(entry.importer), room(entry.imported)
        if upper == lower or upper not in depths or lower not in depths:
            continue
        if depths[upper] > depths[lower]:
            found.append(f"{entry}: {lower} lies above {upper}")
        elif depths[upper] == depths[lower]:
            found.append(f"{entry}: {lower} lies beside {upper}")
    return found


def homeless(modules: list[str], layers: tuple[tuple[str, ...], ...]) -> list[str]:
    """List the modules of no declared room."""
    rooms = {name for names in layers for name in names}
    return [name for name in modules if name not in DOORS and room(name) not in rooms]


def feature_terms() -> list[type[DistillationTerm]]:
    """The terms that read features only, among all that the package defines."""

    def below(cls: type[DistillationTerm]) -> list[type[DistillationTerm]]:
        return [cls, *(lower for child in cls.__subclasses__() for lower in below(child))]

    return [
        cls
        for cls in below(DistillationTerm)
        if cls.__module__.startswith("tbd.") and cls is not DistillationTerm and cls.reads <= MAPS
    ]


@pytest.fixture(scope="module")
def imports():
    return read_imports(PACKAGE)


def test_every_module_is_in_a_declared_room():
    assert not homeless(list(module_files(PACKAGE)), LAYERS)


def test_imports_point_downwards(imports):
    found = breaches(imports, LAYERS)
    assert not found, "\n" + "\n".join(found)


def test_no_modules_import_each_other_in_a_circle(imports):
    circle = find_circle([entry for entry in imports if entry.importer not in DOORS])
    assert not circle, "\n" + "\n".join(map(str, circle))


def test_there_are_terms_that_read_features_only():
    assert feature_terms()


@pytest.mark.parametrize("term", feature_terms())
def test_terms_that_read_features_only_need_nothing_of_harmony(imports, term):
    path = path_between(imports, term.__module__, "tbd.harmony")
    assert not path, "\n" + "\n".join(map(str, path))


def package(folder, **sources):
    """Write a package named tbd; keys are paths with __ for /."""
    root = folder / "tbd"
    for name, source in {"init": "", **sources}.items():
        file = root / f"{name.replace('__', '/').replace('init', '__init__')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return root


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import tbd.files", "tbd.files"),
        ("from tbd.files import write", "tbd.files"),
        ("from tbd import files", "tbd.files"),
        ("from .. import files", "tbd.files"),
        ("from ..files import write", "tbd.files"),
        ("def late():\n    if True:\n        from tbd import files", "tbd.files"),
        ("try:\n    import tbd.files\nexcept ImportError:\n    pass", "tbd.files"),
        ("from tbd import __version__", "tbd"),
        ("from . import b", "tbd.engine.b"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import tbd.files", None),
        ("import torch", None),
    ],
)
def test_every_form_of_import_is_read(tmp_path, source, imported):
    root = package(tmp_path, files="", engine__init="", engine__a=source, engine__b="")
    found = [(entry.importer, entry.imported) for entry in read_imports(root)]
    assert found == ([] if imported is None else [("tbd.engine.a", imported)])


def test_a_breach_names_line_and_rule(tmp_path):
    root = package(
        tmp_path,
        init="from tbd.engine.run import Run",
        engine__run="from tbd.losses.own import Loss",
        losses__own="import math\ndef late():\n    from tbd.engine.run import Run",
        heads__own="from tbd.losses import own",
        files="from tbd import Run",
    )
    assert breaches(read_imports(root), LAYERS) == [
        "tbd.files (line 1) imports tbd, the door, not the module that has it",
        "tbd.heads.own (line 1) imports tbd.losses.own: losses lies beside heads",
        "tbd.losses.own (line 3) imports tbd.engine.run: engine lies above losses",
    ]


def test_a_circle_inside_a_room_is_found(tmp_path):
    root = package(
        tmp_path,
        engine__start="from tbd.engine import a",
        engine__a="import math\nfrom tbd.engine import b",
        engine__b="from tbd.engine import c",
        engine__c="def late():\n    from tbd.engine import a",
    )
    assert [str(entry) for entry in find_circle(read_imports(root))] == [
        "tbd.engine.a (line 2) imports tbd.engine.b",
        "tbd.engine.b (line 1) imports tbd.engine.c",
        "tbd.engine.c (line 2) imports tbd.engine.a",
    ]


def test_a_module_of_no_room_is_named(tmp_path):
    root = package(tmp_path, cellar__rest="", engine__run="", __main__="", utils="")
    assert homeless(list(module_files(root)), LAYERS) == ["tbd.cellar.rest", "tbd.utils"]


def test_what_is_imported_on_the_way_counts(tmp_path):
    root = package(
        tmp_path,
        distill__term="from tbd.distill.view import View",
        distill__view="from tbd.harmony.maps import Maps",
        harmony__maps="",
    )
    imports = read_imports(root)
    path = path_between(imports, "tbd.distill.term", "tbd.harmony")
    assert [entry.imported for entry in path] == ["tbd.distill.view", "tbd.harmony.maps"]
    assert path_between(imports, "tbd.harmony.maps", "tbd.distill") == []
