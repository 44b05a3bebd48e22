"""Series: every way into windows, what is refused and in which words, scales, and every way out."""

import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.items import Item, Origin, Rejection
from pellucid.modalities.delimited import distinct
from pellucid.modalities.orders import find_orders, hold_orders
from pellucid.modalities.series import Series
from pellucid.modalities.table import read_table
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import prepare

DAYS = np.datetime64("2024-01-01") + np.arange(40)


def table(path: Path, rows: int = 12, header: str = "date,a,b", cells: str = "{day},{i},{j}") -> Path:
    lines = [cells.format(day=DAYS[i], i=i, j=100 - 2 * i) for i in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def read(
    path: Path, size: int | None = 4, series: Series | None = None, column: str | None = None
) -> tuple[list[Item], dict[str, str], str]:
    """Items, rejections and notes."""
    records = list((series or Series()).read(path, size=size, column=column))
    items = [record for record in records if isinstance(record, Item)]
    rejected = {record.source: record.reason for record in records if isinstance(record, Rejection)}
    notes = "; ".join(note for record in records if isinstance(record, Origin) for note in record.notes)
    return items, rejected, notes


# -------------------------------------------------------------------------------------------------------- reading


def test_windows_of_a_table(tmp_path: Path) -> None:
    items, rejected, notes = read(table(tmp_path / "a.csv"))
    assert [item.source for item in items] == [f"a.csv#{row}" for row in range(1, 10)]
    assert rejected == {}
    assert notes == "windows of 4 rows, a, b"
    for start, item in enumerate(items):
        np.testing.assert_array_equal(item.data, [[start + k for k in range(4)], [100 - 2 * (start + k) for k in range(4)]])
    assert len(read(tmp_path / "a.csv", series=Series(stride=4))[0]) == 3


@pytest.mark.parametrize(("size", "rows", "length"), [(None, 300, 64), (None, 50, 25), (None, 6, 4), (7, 12, 7)])
def test_the_length_that_is_chosen(tmp_path: Path, size: int | None, rows: int, length: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "\n".join(str(i**2) for i in range(rows)))
    assert {item.data.shape for item in read(path, size)[0]} == {(1, length)}


@pytest.mark.parametrize(("text", "names", "notes"), [
    ("a;b\n1,5;2\n3,5;4", ("a", "b"), "decimal commas"),
    ("a\tb\n1.5\t2\n3.5\t4", ("a", "b"), ""),
    ("1.5,2\n3.5,4", ("column 1", "column 2"), "no header: columns are named by their place"),
    ("\ufeffa,b\n1.5,2\n3.5,4\n\n", ("a", "b"), ""),
    ('"a","b"\r\n"1.5","2"\r\n3.5, 4\r\n', ("a", "b"), ""),
    ("a,a\n1.5,2\n3.5,4", ("a", "a 2"), ""), ("1,5;2\n3,5;4", ("column 1", "column 2"), "no header"),
    ("1990,1991\n1.5,2\n3.5,4", ("1990", "1991"), ""),
])
def test_ways_of_writing_a_table(tmp_path: Path, text: str, names: tuple[str, ...], notes: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    found = read_table(path)
    assert tuple(found.numbers) == names
    assert "; ".join(found.notes).startswith(notes)
    assert bool(found.notes) == bool(notes)
    np.testing.assert_array_equal(np.stack(list(found.numbers.values())), [[1.5, 3.5], [2, 4]])
    with gzip.open(tmp_path / "t.csv.gz", "wb") as file:
        file.write(text.encode())
    assert read_table(tmp_path / "t.csv.gz").numbers.keys() == found.numbers.keys()
    (tmp_path / "two.csv.gz").write_bytes(gzip.compress(text.encode() + b"\n") + gzip.compress(b"5,6"))
    assert len(read_table(tmp_path / "two.csv.gz")) == 3


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """Empty cells and the usual words are missing; other text is so with a note; ragged rows keep their place."""
    path = tmp_path / "t.csv"
    path.write_text("date,a,b,c,d,e\n" + "\n".join([
        "2024-01-01,1,NA,x,5,", "2024-01-02,2,7,y,5,", "2024-01-03,oops,8,x,5,", "2024-01-04,4", "2024-01-05,inf,9,x,5,",
        "2024-01-06,6,1e3,x,5,",
    ]))  # fmt: skip
    found = read_table(path)
    np.testing.assert_array_equal(found.numbers["a"], [1, 2, np.nan, np.nan, np.nan, 6])
    np.testing.assert_array_equal(found.numbers["b"], [np.nan, 7, 8, np.nan, 9, 1000])
    np.testing.assert_array_equal(found.numbers["d"], [5, 5, 5, np.nan, 5, 5])
    assert list(found.words) == ["c"]
    assert found.when == "date"
    assert set(found.notes) == {
        "line 5 had other than 6 cells: taken as missing", "column 'e' is empty: left out",
        "column 'c' holds words ('x'): not modelled",
        "column 'a': 2 cells are no numbers ('oops', 'inf'): taken as missing",
    }  # fmt: skip


def test_order_and_rhythm(tmp_path: Path) -> None:
    """Newest first is turned round; a missing day is put in; weekends are none."""
    path = table(tmp_path / "a.csv", cells="{day},{i},{j}")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[:0:-1]]))
    items, _, notes = read(path, 12)
    np.testing.assert_array_equal(items[0].data[0], np.arange(12))
    assert "newest first: turned round" in notes
    path.write_text("\n".join([*lines[:6], *lines[7:]]))
    items, _, notes = read(path, 12)
    np.testing.assert_array_equal(items[0].data[0], [*range(5), np.nan, *range(6, 12)])
    assert "times that are missing put in as rows without values" in notes
    working = [day for day in DAYS if np.is_busday(day)]
    path.write_text("date,a\n" + "\n".join(f"{day},{i}" for i, day in enumerate(working)))
    assert len(read(path, len(working))[0]) == 1


def test_groups_are_found(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    rows = [f"{shop},{DAYS[i]},{i + start}" for shop, start in (("north", 0), ("south", 50)) for i in range(6)]
    path.write_text("\n".join(["shop,date,sold", *rows]))
    items, _, notes = read(path)
    found = [(item.source, item.label) for item in items[::3]]
    assert found == [("long.csv#north 1", "north"), ("long.csv#south 7", "south")]
    assert "each 'shop' is a series of its own" in notes
    assert [item.label for item in read(path, series=Series(group="shop"))[0]] == ["north"] * 3 + ["south"] * 3
    path.write_text("\n".join(["date,sold", *(row.partition(",")[2] for row in rows)]))
    with pytest.raises(DataError, match=r"times in 'date' do not rise after 2024-01-06: sort the rows, or name the column"):
        read(path)


def test_labels_of_a_column_and_of_folders(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", header="date,a,kind", cells="{day},{i},k{i}")
    assert [item.label for item in read(path, column="kind")[0]] == [f"k{i}" for i in range(3, 12)]
    with pytest.raises(DataError, match="no column 'kinds': did you mean 'kind'"):
        read(path, column="kinds")
    for name in ("up", "down"):
        table(tmp_path / "both" / name / "t.csv")
    assert {item.label for item in read(tmp_path / "both")[0]} == {"up", "down"}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    table(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(b"")
    (tmp_path / "c.csv").write_bytes(b"\x89PNG\r\n\0\0\0")
    (tmp_path / "d.csv").write_bytes("date,a,b\n2024,1,ü".encode("latin-1"))
    (tmp_path / "e.csv").write_text("date,a\n2024-01-01,1\n2024-01-02,2")
    (tmp_path / "f.csv").write_text("x,y\na,b\nc,d")
    table(tmp_path / "g.csv", rows=3)
    whole = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "h.csv.gz").write_bytes(gzip.compress(whole)[:-20])
    (tmp_path / "i.parquet").write_bytes(b"PAR1 and no more")
    items, rejected, _ = read(tmp_path)
    assert len(items) == 9
    reasons = {
        "b.csv": "nothing in it", "c.csv": "not text, whatever its name says", "d.csv": "not UTF-8: byte 16 is 0xfc",
        "e.csv": "no column 'b', which the others have", "f.csv": "no column of numbers among 'x', 'y'",
        "g.csv": "3 rows, fewer than a window of 4", "h.csv.gz": "damaged", "i.parquet": "damaged",
    }  # fmt: skip
    assert rejected.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in rejected[name]


def test_what_a_reader_could_get_wrong(tmp_path: Path) -> None:
    """An open quote is refused, ids are not rounded together, and a pipe is not waited for."""
    path = tmp_path / "t.csv"
    path.write_text('date,a,note\n2024-01-01,1,"open\n2024-01-02,2,x\n2024-01-03,3,y\n')
    with pytest.raises(DataError, match=r"unexpected end of data"):
        read_table(path)
    path.write_text("site,a\n" + "\n".join(f"{1000001 + i // 6},{i}" for i in range(12)))
    items, _, _ = read(path, series=Series(group="site"))
    assert {item.label for item in items} == {"1000001", "1000002"}
    assert len(items) == 6
    os.mkfifo(tmp_path / "pipe.csv")
    assert not Series().recognises(tmp_path / "pipe.csv")


def test_parquet_of_numbers_is_recognised(tmp_path: Path) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    parquet.write_table(arrow.table({"x": np.arange(8.0), "n": np.arange(8)}), tmp_path / "t.parquet")
    parquet.write_table(arrow.table({"image": [b"1", b"2"], "label": [0, 1]}), tmp_path / "p.parquet")
    assert Series().recognises(tmp_path / "t.parquet")
    assert not Series().recognises(tmp_path / "p.parquet")


def test_many_columns_of_one_name() -> None:
    """In time that grows with their number: it took hours for so many. The names are what they were."""
    assert distinct(["a", "a", "a 2", "", "a", "a 2"], 7) == ("a", "a 2", "a 2 2", "column 4", "a 3", "a 2 3", "column 7")
    start = time.process_time()
    assert distinct(["a"] * 50_000, 50_000)[-1] == "a 50000"
    assert time.process_time() - start < 2
    with pytest.raises(DataError, match="100,000 columns, where 65,536 are the most"):
        distinct(["a"] * 100_000, 100_000)


def test_nothing_readable_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\na,b")
    with pytest.raises(DataError, match=r"no series to be read in .*: a\.csv: no column of numbers"):
        read(tmp_path)
    with pytest.raises(DataError, match="There is no"):
        read(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="windows of at least 4 rows"):
        read(table(tmp_path / "b.csv"), 3)


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    values = np.array([0.1, 1 / 3, np.nan, 7.0, 1e-30, 5.0])
    columns = {"when": DAYS[:6].astype("datetime64[D]"), "x": values, "n": np.arange(6), "who": list("aabbcc")}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found.numbers["x"], values)
    assert (found.when, list(found.numbers), list(found.words)) == ("when", ["x", "n"], ["who"])


# --------------------------------------------------------------------------------------------------- scales, writing


@pytest.fixture
def series() -> Series:
    stored = np.stack([np.exp(np.linspace(0, 3, 30)), np.linspace(-1, 5, 30), np.full(30, 7.0)]).reshape(1, 3, 30)
    return Series(**Series().learn(stored, {"columns": ["grows", "moves", "stays"]}))


def test_each_column_has_its_scale(series: Series) -> None:
    """Of mean 0 and variance 1; proportions as logarithms; a constant comes back whatever the model makes of it."""
    stored = np.stack([np.exp(np.linspace(0, 3, 30)), np.linspace(-1, 5, 30), np.full(30, 7.0)])
    x = series.decode(stored)
    assert series.logged == (True, False, False)
    torch.testing.assert_close(x.mean(1), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(1, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-6, rtol=0)
    np.testing.assert_allclose(series.encode(x), stored, rtol=1e-6)
    assert (series.encode(x + 1)[2] == 7).all()
    torch.testing.assert_close(series.decode(torch.from_numpy(stored)), x)
    with pytest.raises(ConfigError, match="column 'a' has values of 0 or less"):
        Series(logarithm=("a",)).learn(np.zeros((1, 1, 4)), {"columns": ["a"]})


def test_scales_of_any_size_and_names_that_are_taken(tmp_path: Path) -> None:
    """Squares that overflow or vanish; a column called as the table's own are; a logarithm of nothing."""
    rng = np.random.default_rng(0)
    stored = rng.normal(size=(4, 2, 8)) * np.array([1e300, 1e-300])[:, None]
    series = Series(**Series().learn(stored, {"columns": ["sample", "step"]}))
    largest = np.abs(stored).max((0, 2))[:, None]
    np.testing.assert_allclose(series.encode(series.decode(stored)) / largest, stored / largest, atol=1e-5)
    series.write(torch.zeros(2, 2, 8), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "sample_,step_,sample,step"
    with pytest.raises(ConfigError, match=r"modality.logarithm: no column 'pric'.*did you mean 'price'"):
        Series(logarithm="pric").learn(stored, {"columns": ["price", "b"]})


def test_columns_of_years_and_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("year,x,gone\n1990,1,\n1991,5,\n1992,2,\n")
    found = read_table(tmp_path / "t.csv")
    assert (found.when, list(found.numbers)) == ("year", ["x"])
    assert list(read_table(tmp_path / "t.csv", ["gone"]).numbers) == ["x", "gone"]


def test_what_is_written_is_read_back(tmp_path: Path, series: Series) -> None:
    samples = torch.randn(3, 3, 8, generator=torch.Generator().manual_seed(0))
    stored = series.encode(samples)
    for name in ("all.csv", "all.tsv", "all.parquet"):
        assert series.write(samples, tmp_path / name, labels=["x", "y", "z"]) == [tmp_path / name]
        found = read_table(tmp_path / name)
        np.testing.assert_array_equal(found.numbers["sample"], np.repeat(range(3), 8))
        for place, column in enumerate(("grows", "moves", "stays")):
            np.testing.assert_array_equal(found.numbers[column], stored[:, place].reshape(-1))
        assert found.words["label"] == [label for label in "xyz" for _ in range(8)]
    files = series.write(samples, tmp_path / "folder")
    np.testing.assert_array_equal(read(tmp_path / "folder", 8)[0][1].data, stored[1])
    assert len(files) == 3
    series.write(samples, tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), stored)
    with Pillow.open(series.write(samples, tmp_path / "a.png")[0]) as picture:
        assert np.asarray(picture).std() > 5
    with pytest.raises(UserError, match=r"as 'a\.xyz'"):
        series.write(samples, tmp_path / "a.xyz")
    series.journey([samples, samples / 2], tmp_path / "j.gif")


def test_returns_go_and_come_back() -> None:
    series = Series(returns=("p",), columns=("p", "q"))
    known = np.array([[100.0, 110, 99, np.nan, np.nan], [1.0, 2, 3, np.nan, np.nan]])
    changed = series.change(known)
    np.testing.assert_allclose(changed[0], [np.nan, np.log(1.1), np.log(0.9), np.nan, np.nan])
    made = np.where(np.isnan(changed), 0.1, changed)[None]
    back = series.change_back(made, known)[0]
    np.testing.assert_allclose(back[0], [100, 110, 99, 99 * np.exp(0.1), 99 * np.exp(0.2)])
    np.testing.assert_allclose(back[1], [1, 2, 3, 0.1, 0.1])


def test_a_table_is_recognised(tmp_path: Path) -> None:
    path = table(tmp_path / "in" / "a.csv", rows=40)
    made = prepare(apply_settings(RunConfig(), [f"data.path={path}", "data.size=8"]), tmp_path / "pack")
    assert (made.kind, made.facts.shape, made.facts.given, made.facts.missing) == ({"name": "series"}, (2, 8), True, False)
    again = prepare(apply_settings(RunConfig(), [f"data.path={made.pack.folder}"]), tmp_path / "other")
    assert (again.kind, again.facts) == (made.kind, made.facts)
    with pytest.raises(ConfigError, match=r"was made with modality\.stride = None"):
        prepare(apply_settings(RunConfig(), [f"data.path={made.pack.folder}", "modality.stride=2"]), tmp_path / "other")
    Pillow.new("L", (8, 8)).save(tmp_path / "in" / "p.png")
    assert not Series().recognises(tmp_path / "in")


# --- orders of columns


def test_orders_that_always_hold_are_found() -> None:
    """High above open and close above low; not what is merely larger, nor what is below once, nor equal columns."""
    rng = np.random.default_rng(0)
    start, end = 100 + rng.normal(0, 5, (2, 500))
    high, low = np.maximum(start, end) + rng.exponential(1, 500).round(), np.minimum(start, end) - rng.exponential(1, 500)
    volume = rng.uniform(1e6, 2e6, 500)
    values = np.stack([start, high, low, end, end, volume])
    values[0, 7] = np.nan
    assert set(find_orders(values)) == {(1, 0), (1, 2), (1, 3), (1, 4), (0, 2), (3, 2), (4, 2)}
    values[1, 9] = values[3, 9] - 1
    assert (1, 3) not in find_orders(values)
    assert find_orders(values[:, :50]) == []


def test_orders_are_held() -> None:
    """Tops are raised, bottoms lowered, what lies between stays; chains too; what is in order already is not touched."""
    ohlc = [(1, 0), (1, 2), (1, 3), (0, 2), (3, 2)]
    rows = np.array([[3.0, 1.0], [2.0, 5.0], [2.5, 0.0], [1.0, 4.0]])[None]
    held = hold_orders(rows, ohlc)
    np.testing.assert_array_equal(held[0, [0, 3]], rows[0, [0, 3]])
    np.testing.assert_array_equal(held[0, :, 1], rows[0, :, 1])
    assert held[0, 1, 0] == 3.0
    assert held[0, 2, 0] == 1.0
    chain = [(0, 1), (1, 2), (2, 3), (0, 2), (0, 3), (1, 3)]
    made = hold_orders(np.random.default_rng(1).normal(size=(50, 4, 6)), chain)
    assert (np.diff(made, axis=1) <= 0).all()
    for missing in (np.array([[1.0], [np.nan]]), np.array([[np.nan], [1.0]])):
        np.testing.assert_array_equal(hold_orders(missing, [(0, 1)]), missing)
