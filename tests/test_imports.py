"""Who may import whom (the house plan), read off the syntax trees: calls go one way, downwards."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from fastnst.__main__ import COMMANDS as NAMES
from fastnst.__main__ import COMPOSED

PACKAGE = Path(__file__).resolve().parents[1] / "fastnst"

ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "places": set(),
    "command_line": {"errors", "places"},
    "hardware": {"errors"},
    "writing": {"errors"},
    "free_memory": set(),
    "untrusted": set(),
    "allocation": set(),
    "convolution": set(),
    "images": {"errors", "writing"},
    "styles": {"errors", "images"},
    "weights": set(),
    "networks": {"convolution", "errors", "images", "untrusted"},
    "features": {"convolution", "errors", "images", "untrusted"},
    "losses": {"errors", "features", "images", "settings"},
    "data": {"command_line", "errors", "free_memory", "images", "places", "writing"},
    "models": {"errors", "networks", "places", "untrusted", "writing"},
    "stylization": {"convolution", "errors", "free_memory", "images", "networks", "models", "writing"},
    "training": {
        *("allocation", "errors", "hardware", "writing", "images", "networks", "features", "losses", "data", "models"),
        "command_line",
        "settings",
        "untrusted",
    },
    "optimization": {"errors", "images", "features", "losses"},
    "cluster": {"errors", "images", "models", "data", "stylization", "writing"},
}
"""The rooms that each may import from besides itself; `export`, `benchmark`, `demo` may everything but training."""
DOORS = ("export", "benchmark", "demo")
COMMANDS = ("commands", "__main__")
"""On top of everything: nobody imports from there."""

LIGHTNING = ("pytorch_lightning", "lightning", "lightning_fabric")
MAY_IMPORT_LIGHTNING = {"training", "data", "commands"}
HYDRA = ("hydra", "omegaconf")
MAY_IMPORT_HYDRA = {*COMPOSED, "hydra_command", "typed_settings"}
"""Among the commands; configuration stops there."""
MAKES_OBJECTS = "own_classes.py"
"""Of plain dictionaries, with Hydra's help."""


def imports(path: Path) -> set[str]:
    """Full names of all modules imported anywhere in a file, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found.add(node.module)
            if node.module == "fastnst":
                found |= {f"fastnst.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_all_rooms_are_seen():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert len(FILES) >= 45
    assert rooms == {*ALLOWED, *DOORS, *COMMANDS} - {"weights"}, "weights are no code"
    assert rooms >= {"images", "networks", "features", "losses", "data", "models", "training", "stylization"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_directions(path):
    here, found = room(path), imports(path)
    ours = {name.split(".")[1] for name in found if name.startswith("fastnst.")} - {here}
    assert here in COMMANDS or not ours & set(COMMANDS)
    if here in DOORS:
        assert "training" not in ours
    elif here not in COMMANDS and here != "__init__":
        assert ours <= ALLOWED[here], f"{here} must not import {ours - ALLOWED[here]}"
    roots = {name.split(".")[0] for name in found}
    may_see_hydra = (here == "commands" and path.stem in MAY_IMPORT_HYDRA) or path.name == MAKES_OBJECTS
    assert not roots & set(HYDRA) or may_see_hydra
    if here not in MAY_IMPORT_LIGHTNING:
        assert not roots & set(LIGHTNING)


def test_many_machines_are_a_room_of_their_own():
    """Nobody who does not ask for them needs Ray or pyarrow."""
    cluster = [path for path in FILES if room(path) == "cluster"]
    assert len(cluster) >= 7
    for path in FILES:
        if path not in cluster and path.name not in ("cluster.py", "benchmark.py", "stylize_many.py"):  # its commands
            found = imports(path)
            assert not {name.split(".")[0] for name in found} & {"ray", "pyarrow"}, path
            assert not any(name.startswith("fastnst.cluster") for name in found), path


def test_a_file_is_known_by_its_name():
    modules = [path for path in FILES if path.name != "__init__.py"]
    names = Counter(path.name for path in modules)
    assert len(modules) >= 120 and [name for name, count in names.items() if count > 1] == []


def test_no_folder_is_crowded():
    """But for the styles and the commands, of which each is one file."""
    files = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert len(files) >= 20 and {folder.name for folder, count in files.items() if count > 10} == {"styles", "commands"}


def test_every_command_has_its_file_and_its_front_door():
    doors = {path.stem: path.read_text() for path in (PACKAGE.parent / "scripts").glob("*.py")}
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - {"__init__"}
    assert sorted(doors) == sorted(NAMES) and len(set(doors.values())) == 1
    helpers = {"device_parts", "hydra_command", "picture_files", "settings_help", "typed_settings"}
    assert files - set(NAMES) == helpers and set(NAMES) <= files


def test_the_guide_names_files_and_folders_that_exist():
    guide = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([\w/]+(?:/|\.py))`", guide) if "NAME" not in name]
    assert len(named) > 30
    for name in named:
        assert (PACKAGE / name).exists() or (PACKAGE.parent / name).exists(), name


def test_photographs_are_found_without_lightning():
    """`stylize` takes its sample photograph from there."""
    assert not {name.split(".")[0] for name in imports(PACKAGE / "data" / "sources.py")} & set(LIGHTNING)
    assert "import" not in (PACKAGE / "data" / "__init__.py").read_text()


def test_torch_is_not_in_the_way_of_an_error_message():
    assert {name.split(".")[0] for name in imports(PACKAGE / "errors.py")} <= {
        "__future__", "collections", "contextlib", "os", "select", "signal", "sys", "typing",
    }  # fmt: skip
