"""Known series, from packages that are stood in for here: what is fetched is a table that training reads."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid.core.errors import UserError
from pellucid.known import recipes
from pellucid.modalities.table import read_table

STOCKS = b"Date,Open,Volume\n1/4/1999,1229.23,877000000\n1/5/1999,1228.1,775000000\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that is looked into first, with nothing in them."""
    for name in ("arch", "pmdarima", "statsmodels"):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text("raise RuntimeError('not to be imported')")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


def put(packages: Path, place: str, content: bytes) -> None:
    (packages / place).parent.mkdir(parents=True, exist_ok=True)
    (packages / place).write_bytes(content)


def fetched(name: str, folder: Path) -> None:
    recipes[name]().fetch(folder, lambda *_: None)
    assert "## Licence" in (folder / "README.md").read_text()


def test_stock_indices(packages: Path, tmp_path: Path) -> None:
    for name in ("sp500", "nasdaq"):
        put(packages, f"arch/data/{name}/{name}.csv.gz", gzip.compress(STOCKS))
    fetched("stock_indices", tmp_path / "out")
    found = read_table(tmp_path / "out" / "nasdaq.csv")
    assert (list(found.numbers), found.when, len(found)) == (["Open", "Volume"], "Date", 2)


def test_electricity(packages: Path, tmp_path: Path) -> None:
    values = np.arange(4032) + 20_000
    source = f"import numpy as np\nSHORT = [1, 2]\n\ndef load():\n    return np.array({values.tolist()})\n"
    put(packages, "pmdarima/datasets/taylor.py", source.encode())
    fetched("electricity", tmp_path / "out")
    found = read_table(tmp_path / "out" / "electricity.csv")
    np.testing.assert_array_equal(found.numbers["megawatts"], values)
    assert found.clock is not None
    assert found.clock.after(1) == ["2000-08-28 00:00"]
    put(packages, "pmdarima/datasets/taylor.py", b"x = [1, 2, 3]")
    with pytest.raises(UserError, match="is 3 values, expected 4,032"):
        fetched("electricity", tmp_path / "other")


def test_sea_temperature(packages: Path, tmp_path: Path) -> None:
    months = ",".join(f'"{number}"' for number in range(1, 13))
    rows = "\n".join(f"{year},{','.join(str(year + month / 100) for month in range(1, 13))}" for year in (1950, 1951))
    put(packages, "statsmodels/datasets/elnino/elnino.csv", f'"YEAR",{months}\n{rows}\n'.encode())
    fetched("sea_temperature", tmp_path / "out")
    found = read_table(tmp_path / "out" / "sea-temperature.csv")
    assert len(found) == 24
    assert found.numbers["celsius"][13] == 1951.02
    assert found.clock is not None
    assert found.clock.after(2) == ["1952-01", "1952-02"]


def test_what_is_not_installed_is_named(packages: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Stock indices come with the Python package arch.*pip install --no-deps arch"):
        fetched("stock_indices", tmp_path / "out")
    assert packages.is_dir()
