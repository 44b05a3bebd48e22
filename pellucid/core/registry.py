"""A folder's public list: names to classes, imported on first use.

Each folder's `__init__` holds one `Registry`; a line in it is the whole registration of a new class. Nothing is
imported until a name is asked for, so the command line can list names and print help without loading torch.

    schedules = Registry("schedule", __name__, {"cosine": "cosine.Cosine"})
    __getattr__, __dir__, __all__ = schedules.module_interface()

    schedules["cosine"]                        -> the class pellucid.schedules.cosine.Cosine
    from pellucid.schedules import Cosine      -> the same class
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from pellucid.core.errors import ConfigError, nearest


class Registry(Mapping[str, Any]):
    """Lazy mapping from a name in configuration files to the class or function it names.

    Arguments:
        kind: what the entries are, singular, for error messages ("schedule").
        package: the folder's module name.
        entries: name -> "module.Attribute", relative to the folder.
    """

    def __init__(self, kind: str, package: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self.package = package
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        if name not in self._entries:
            raise ConfigError(f"Unknown {self.kind} '{name}': {nearest(name, self._entries)}")
        module, _, attribute = self._entries[name].rpartition(".")
        return getattr(import_module(f"{self.package}.{module}"), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def name_of(self, value: object) -> str:
        """The registered name of a class, or of an instance's class."""
        attribute = value.__name__ if isinstance(value, type) else type(value).__name__
        for name, target in self._entries.items():
            if target.rpartition(".")[2] == attribute:
                return name
        raise ConfigError(f"{attribute} is not a registered {self.kind}")

    def module_interface(self) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
        """`__getattr__`, `__dir__` and `__all__` for the folder's `__init__`, so its classes import by attribute."""
        targets = {target.rpartition(".")[2]: name for name, target in self._entries.items()}

        def get(attribute: str) -> Any:
            if attribute not in targets:
                raise AttributeError(f"module '{self.package}' has no attribute '{attribute}'")
            return self[targets[attribute]]

        return get, lambda: sorted(targets), sorted(targets)
