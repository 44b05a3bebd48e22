"""Every folder's public list: complete, loadable, helpful about misspelt names, and light to import."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pellucid
from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.registry import Registry

ROOT = Path(pellucid.__file__).parent
PACKAGES = ["pellucid", *(m.name for m in pkgutil.walk_packages([str(ROOT)], "pellucid.") if m.ispkg)]


def fresh(package: str) -> ModuleType:
    """The folder's `__init__`, executed beside the imported one: what it declares, whatever was imported since."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared(package: str) -> dict[str, Registry]:
    """The folder's registries by the name of their variable."""
    return {key: value for key, value in vars(fresh(package)).items() if isinstance(value, Registry)}


REGISTRIES = {(package, key): registry for package in PACKAGES for key, registry in declared(package).items()}
ENTRIES = [(registry, name) for registry in REGISTRIES.values() for name in registry]
FOLDERS = sorted({package for package, _ in REGISTRIES})

every_registry = pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda registry: registry.kind)
every_entry = pytest.mark.parametrize(
    ("registry", "name"), [pytest.param(*entry, id=f"{entry[0].kind}-{entry[1]}") for entry in ENTRIES]
)
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def test_every_registry_of_the_package_is_examined_here() -> None:
    """As many are found as are written in the sources, each of its own kind and of its own folder."""
    written = sum(len(re.findall(r"^\w+ = Registry\(", path.read_text(), re.MULTILINE)) for path in ROOT.rglob("*.py"))
    assert len(REGISTRIES) == written >= 15
    assert len({registry.kind for registry in REGISTRIES.values()}) == len(REGISTRIES)
    assert all(registry.package == package for (package, _), registry in REGISTRIES.items())


# --- entries


@every_entry
def test_every_name_loads_something_of_its_folder(registry: Registry, name: str) -> None:
    """A registered name gives a documented class or function, defined in the folder, that can be made or called."""
    entry = registry[name]
    assert callable(entry)
    assert entry.__module__.startswith(registry.package + ".")
    assert not inspect.isabstract(entry)
    assert entry.__doc__
    assert name in registry
    assert registry[name] is entry


@every_entry
def test_every_class_knows_its_name(registry: Registry, name: str) -> None:
    """`name_of` leads from the class back to the name under which it is registered."""
    entry = registry[name]
    if inspect.isclass(entry):
        assert registry.name_of(entry) == name
    with pytest.raises(ConfigError, match=f"dict is not a registered {registry.kind}"):
        registry.name_of({})


@every_registry
def test_no_entry_is_registered_twice(registry: Registry) -> None:
    """Names are distinct classes, written as configuration files write them; a registry counts and lists them."""
    assert len({id(registry[name]) for name in registry}) == len(registry) == len(list(registry)) > 0
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in registry)


@every_entry
def test_a_misspelt_name_is_answered_with_the_nearest(registry: Registry, name: str) -> None:
    """One letter too many, looked up or built: the kind, what came, the name that was meant, and all names."""
    for ask in (lambda wrong: registry[wrong], lambda wrong: build(registry, {"name": wrong})):
        with pytest.raises(ConfigError) as error:
            ask(name + "x")
        message = str(error.value)
        assert message.startswith(f"Unknown {registry.kind} '{name}x': did you mean '{name}'? Known: ")
        assert message.partition("Known: ")[2].split(", ") == sorted(registry)


@every_registry
def test_a_section_without_a_name_lists_the_names(registry: Registry) -> None:
    """A section that forgets its name is told all that there are; a wild name has no nearest, but the list."""
    with pytest.raises(ConfigError, match=f"A {registry.kind} needs a name. Known: {', '.join(sorted(registry))}"):
        build(registry, {})
    with pytest.raises(ConfigError, match=f"Unknown {registry.kind} '§§§': known: {sorted(registry)[0]}"):
        build(registry, {"name": "§§§"})
    assert "§§§" not in registry


@pytest.mark.parametrize("name", [3, None, ["x"]], ids=str)
def test_a_name_that_is_no_word_is_refused(name: Any) -> None:
    """TOML allows numbers and lists where a name belongs; they are answered like any unknown name."""
    for registry in REGISTRIES.values():
        with pytest.raises(ConfigError, match=registry.kind):
            build(registry, {"name": name})


@every_entry
def test_a_misspelt_setting_is_refused_by_its_place(registry: Registry, name: str) -> None:
    """A setting that the entry's signature does not have is named together with the entry."""
    with pytest.raises(ConfigError, match=f"Unknown setting 'no_such_setting' of {registry.kind}.{name}: "):
        build(registry, {"name": name, "no_such_setting": 1})


# --- folders


@every_folder
def test_all_is_the_folders_registry(folder: str) -> None:
    """`__all__` and `dir()` list every class of the folder's own registry, and each is what the registry gives."""
    module = fresh(folder)
    lists = [{entry.__name__: entry for entry in registry.values()} for registry in declared(folder).values()]
    (expected,) = [classes for classes in lists if set(classes) & set(module.__all__)]
    assert module.__all__ == dir(module) == sorted(expected)
    imported = importlib.import_module(folder)
    for attribute, value in expected.items():
        assert getattr(imported, attribute) is value
    starred: dict[str, Any] = {}
    exec(f"from {folder} import *", starred)
    assert {key: starred[key] for key in expected} == expected
    with pytest.raises(AttributeError, match=f"module '{folder}' has no attribute 'NoSuchClass'"):
        _ = imported.NoSuchClass
    with pytest.raises(ImportError):
        exec(f"from {folder} import NoSuchClass", {})


@pytest.mark.parametrize(("package", "variable"), list(REGISTRIES))
def test_no_file_takes_a_registrys_place(package: str, variable: str) -> None:
    """`from pellucid.x import registry` gives the registry, also after every file in the folder has been imported."""
    assert importlib.util.find_spec(f"{package}.{variable}") is None
    registry = REGISTRIES[package, variable]
    for name in registry:
        _ = registry[name]
    assert isinstance(getattr(importlib.import_module(package), variable), Registry)


def test_no_folder_loads_torch() -> None:
    """Names can be listed and commands explained at once: no folder of the package, nor the command line, imports torch."""
    code = f"""
import importlib, sys
from pellucid.core.registry import Registry
for package in {PACKAGES!r}:
    module = importlib.import_module(package)
    for value in list(vars(module).values()):
        if isinstance(value, Registry):
            assert sorted(value) and len(value) and "x" not in value
            dir(module)
    heavy = sorted({{"torch", "scipy", "diffusers"}} & set(sys.modules))
    assert not heavy, f"{{package}} imports {{heavy}}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pellucid.cli" in PACKAGES


def test_the_package_runs_as_a_module() -> None:
    """For launchers that start one."""
    done = subprocess.run([sys.executable, "-m", "pellucid", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"pellucid \d+\.\d+\.\d+\n", done.stdout)
