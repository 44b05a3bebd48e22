"""Numbers, durations and sizes as a reader takes them in at a glance."""

from math import floor, isfinite, log10

LETTERS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def figure(value: float, digits: int = 3) -> str:
    """`digits` significant ones, whole numbers in full.

    >>> [figure(x) for x in (0.041530, 3.2178, 519.7, 144000, 0.00002, -1.5, float("nan"))]
    ['0.0415', '3.22', '520', '144,000', '2·10⁻⁵', '−1.5', '–']
    """
    if not isfinite(value):
        return "–"
    if value and abs(value) < 1e-3:
        exponent = floor(log10(abs(value)))
        mantissa = f"{value / 10.0**exponent:.{digits}g}"
        power = f"10{exponent}".replace(str(exponent), str(exponent).translate(SUPERSCRIPT))
        return _signed(power if mantissa == "1" else f"{mantissa}·{power}")
    if float(value).is_integer() or abs(value) >= 10**digits:
        return _signed(f"{value:,.0f}")
    decimals = digits - 1 - floor(log10(abs(value)))
    text = f"{value:.{decimals}f}"
    return _signed(text.rstrip("0").rstrip(".") if decimals else text)


def short(value: float) -> str:
    """For ticks and counts: up to 4 digits and a letter.

    >>> [short(x) for x in (0, 0.25, 20, 1500, 144000, 2.5e6, 1e-4)]
    ['0', '0.25', '20', '1.5k', '144k', '2.5M', '10⁻⁴']
    """
    for scale, letter in LETTERS:
        if abs(value) >= scale:
            return _signed(f"{value / scale:.4g}{letter}")
    return figure(value, 4)


def duration(seconds: float) -> str:
    """The two largest units that matter.

    >>> [duration(s) for s in (42, 200, 900, 8100, 180000)]
    ['42 s', '3 min 20 s', '15 min', '2 h 15 min', '2 d 2 h']
    """
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    rest = round(seconds) if isfinite(seconds) else 0
    parts: list[str] = []
    for unit, length in units:
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def size(octets: int) -> str:
    """A file's size in decimal units.

    >>> size(793_232), size(2_500_000_000)
    ('793 kB', '2.5 GB')
    """
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= scale:
            return f"{octets / scale:.3g} {unit}"
    return f"{octets} B"


def _signed(text: str) -> str:
    return text.replace("-", "−")  # a minus, as wide as the digits beside it
