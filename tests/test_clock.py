"""Times in tables: ways of writing them, gaps, and how they go on."""

import pytest

from pellucid.modalities.clock import read_clock


@pytest.mark.parametrize(("cells", "then"), [
    (["2024-01-30", "2024-01-31"], "2024-02-01"), (["2024-02-28 23:00", "2024-02-29 00:00"], "2024-02-29 01:00"),
    (["01.11.2024", "01.12.2024"], "01.01.2025"), (["2024-05-02", "2024-05-03", "2024-05-06", "2024-05-07"], "2024-05-08"),
    (["2024-05-02", "2024-05-03", "2024-05-06", "2024-05-07", "2024-05-08", "2024-05-09", "2024-05-10"], "2024-05-13"),
    (["1/30/2024", "1/31/2024"], "02/01/2024"), (["2024-01-31", "2024-03-31", "2024-05-31"], "2024-07-31"),
    (["2023-08-31", "2023-10-31", "2023-12-31"], "2024-02-29"), (["2024-01-31", "2024-02-29", "2024-03-31"], "2024-04-30"),
    (["2024-01-30", "2024-02-29", "2024-03-30"], "2024-04-30"),
    (["2024-03-01T22:00:00+01:00", "2024-03-01T23:00:00+01:00"], "2024-03-02T00:00:00+01:00"),
    (["2024-03-01 22:00:00Z", "2024-03-01 23:00:00Z"], "2024-03-02 00:00:00Z"),
    (["3/1/2024 10:30 AM", "3/1/2024 11:30 AM"], "03/01/2024 12:30 PM"), (["2023Q3", "2023Q4"], "2024Q1"),
    (["Q4 2023", "Q1 2024"], "Q2 2024"), (["1999", "2000", "2001"], "2002"), (["1700000000", "1700003600"], "1700007200"),
    (["1700000000000", "1700000000500"], "1700000001000"), (["9999-12-30", "9999-12-31"], ""),
])
def test_times_go_on(cells: list[str], then: str) -> None:
    clock = read_clock(cells)
    assert clock is not None
    assert clock.rises
    assert clock.after(1) == [then]
    assert read_clock([*cells, "never"]) is None


@pytest.mark.parametrize(("cells", "put_in"), [
    (["2024-01-01", "2024-02-01", "2024-03-01", "2024-05-01", "2024-06-01", "2024-07-01", "2024-08-01"], {3: "2024-04-01"}),
    (["2023-12-31", "2024-01-31", "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30"], {2: "2024-02-29"}),
    (["1/1/2024 1:00", "1/1/2024 2:00", "1/1/2024 3:00", "1/1/2024 4:00", "1/1/2024 7:00"], {}),
    ([*(f"2024-03-01T{hour:02}:00Z" for hour in range(6)), "2024-03-01T08:00Z"],
     {6: "2024-03-01T06:00Z", 7: "2024-03-01T07:00Z"}),
])  # fmt: skip
def test_gaps_are_put_in(cells: list[str], put_in: dict[int, str]) -> None:
    """Of steady times, four of five of whose steps are equal; what is there keeps the way it is written."""
    clock = read_clock(cells)
    assert clock is not None
    places = clock.places()
    if not put_in:
        assert places is None
        return
    assert places is not None
    found = clock.spaced(places)
    assert [cell for place, cell in enumerate(found.cells) if place not in put_in] == cells
    assert {place: found.cells[place] for place in put_in} == put_in
    assert found.rises


def test_zones_that_change_are_one_time(capsys: pytest.CaptureFixture[str]) -> None:
    clock = read_clock(["2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", "2024-03-31T04:00+02:00"])
    assert clock is not None
    assert clock.places() is not None
    assert clock.after(1) == ["2024-03-31T05:00+02:00"]
    assert capsys.readouterr().out == ""
