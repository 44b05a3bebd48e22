"""Floor 1: where data lies. Plain files, archives, tables and the hub, each a sequence of names, labels and bytes."""

from pellucid.core.registry import Registry

sources = Registry("source", __name__, {
    "zip": "zip.Zip",
    "tar": "tar.Tar",
    "table": "table.Table",
    "hub": "hub.Hub",
    "file": "file.File",
})
"""The first that claims a path reads it; `file` claims any."""

__getattr__, __dir__, __all__ = sources.module_interface()
