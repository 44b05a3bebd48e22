"""The quickest of the expected numbers, that a drifted one fails, and that what is known is not measured twice."""

from pathlib import Path

import pytest
import recheck
from checks import CHECKS
from recheck import TABLE, Number, interval, main, read

LINE = """
[[number]]
name = "{name}"
check = "constant"
settings = {{ value = {value} }}
low = 1.0
high = 2.0
seconds = 1.0
spread = "1.5 ± 0.2 over 3 seeds"
"""


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """For a table of its own, with results of their own."""
    return ["--table", str(tmp_path / "expected.toml"), "--results", str(tmp_path / "results.json")]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The values that were measured, by a check that gives what it is told to."""
    told: list[float] = []

    def constant(seed: int, *, value: float) -> float:
        told.append(value)
        return value + seed

    monkeypatch.setitem(CHECKS, "constant", constant)
    return told


def test_the_quick_numbers_are_as_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--quick", "--results", str(tmp_path / "results.json")])
    told = capsys.readouterr()
    assert code == 0, told.out + told.err
    assert "DRIFTED" not in told.out


@pytest.mark.usefixtures("measured")
def test_a_drifted_number_fails_by_name(tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The others are measured all the same; the line says what was expected and which call gives the number."""
    values = {"low": 0.9, "right": 1.5, "none": "nan", "last": 2.0}
    (tmp_path / "expected.toml").write_text("".join(LINE.format(name=name, value=value) for name, value in values.items()))
    assert main(asked) == 1
    told = capsys.readouterr()
    assert [line.split()[-1] for line in told.out.splitlines()[:4]] == ["DRIFTED", "expected", "DRIFTED", "expected"]
    assert "drifted: low is 0.9, expected 1 to 2: checks.constant(0, value=0.9)" in told.err
    assert "drifted: none is nan" in told.err
    assert "2 of 4 as expected" in told.out
    assert "[4/4, about 0.0 minutes left] last" in told.err
    assert main([*asked, "right", "last"]) == 0


def test_what_is_known_is_not_measured_twice(
    tmp_path: Path, asked: list[str], measured: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is asked for again, or the package or the line has changed; after an interruption the rest goes on."""
    (tmp_path / "expected.toml").write_text(LINE.format(name="one", value=1.25) + LINE.format(name="two", value=1.5))
    assert main([*asked, "one"]) == 0
    assert main(asked) == 0
    assert measured == [1.25, 1.5]
    assert main([*asked, "--again"]) == 0
    assert measured[2:] == [1.25, 1.5]
    monkeypatch.setattr(recheck, "package", lambda: "another")
    assert main([*asked, "one"]) == 0
    (tmp_path / "expected.toml").write_text(LINE.format(name="one", value=1.75))
    assert main([*asked, "one"]) == 0
    assert measured[4:] == [1.25, 1.75]


@pytest.mark.usefixtures("measured")
def test_an_interval_is_where_other_seeds_lie(tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Of three equal steps by Student's t: 4.303 standard deviations of 1, times sqrt(4 / 3)."""
    low, high, spread = interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.9683, 2 + 4.9683), abs=1e-3)
    assert spread == "2 ± 1 over 3 seeds"
    (tmp_path / "expected.toml").write_text(LINE.format(name="one", value=1.0) + LINE.format(name="two", value=1.0))
    assert main([*asked, "one", "--learn", "--seeds", "3"]) == 0
    assert capsys.readouterr().out.startswith("one: 2 ± 1 over 3 seeds")
    one, two = read(tmp_path / "expected.toml")
    assert (one.low, one.high) == pytest.approx((low, high), rel=1e-5)
    assert one.spread == spread
    assert (two.low, two.high, two.spread) == (1.0, 2.0, "1.5 ± 0.2 over 3 seeds")
    (tmp_path / "expected.toml").write_text(LINE.format(name="one", value=1.0).replace("spread", "# spread"))
    assert main(asked) == 0
    assert "0 of 0 as expected; 1 have no interval yet" in capsys.readouterr().out


def test_every_line_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """A check that there is, an interval, the spread that it comes from, and what it costs."""
    numbers = read(TABLE)
    assert len({number.name for number in numbers}) == len(numbers)
    assert all(number.check in CHECKS for number in numbers)
    for number in filter(lambda number: number.learned, numbers):
        assert -float("inf") < number.low < number.high < float("inf"), number.name
        assert number.seconds > 0
        assert "seeds" in number.spread
        assert not number.quick or number.seconds < 15
    assert isinstance(numbers[0], Number)
    assert main(["no such number"]) == 2
    assert "no number in expected.toml has no such number in its name" in capsys.readouterr().err
