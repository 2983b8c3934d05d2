"""Plots as SVG, written by hand: lines over numbers, bars over words, for light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from .measure import Curve

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 260, 40, 50
#: Distinguishable with red-green colour blindness (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b0a000", "#7f7f7f")
STYLE = """<style>
text { font: 12px sans-serif; fill: #222 } .title { font-size: 15px }
.grid { stroke: #8884 } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>"""


def write_plots(curves: Iterable[Curve], folder: Path) -> list[Path]:
    """Draw each plot that the curves name."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve.y:
            plots.setdefault(curve.plot, []).append(curve)
    written = []
    for title, parts in plots.items():
        bars = isinstance(parts[0].x[0], str)
        path = folder / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".svg")
        path.write_text(_bars(title, parts[0]) if bars else _lines(title, parts))
        written.append(path)
    return written


def _document(title: str, height: int, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    name = f'<title>{escape(title)}</title><text class="title" x="12" y="22">{escape(title)}</text>'
    return "\n".join([head, STYLE, name, *body, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


class _Scale:
    """Maps values to places; logarithmic if values other than shares span two decades."""

    def __init__(self, values: Sequence[float], first: float, last: float, unit: str = "") -> None:
        positive = [v for v in values if v > 0] or [1.0]
        self.log = max(positive) / min(positive) > 100 and not unit.startswith("%")
        if self.log:
            low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
            self.ticks = [10.0**e for e in range(low, high + 1)]
        else:
            step = _step(max(positive))
            count = math.ceil(max(positive) / step)
            self.ticks = [step * i for i in range(count + 1)]
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return self._first + (value - low) / (high - low) * (self._last - self._first)


def _step(most: float) -> float:
    rough = 10.0 ** math.floor(math.log10(most / 4))
    return next(rough * m for m in (1, 2, 5, 10) if most / (rough * m) <= 6)


def _lines(title: str, curves: list[Curve]) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    across = _Scale([float(x) for c in curves for x in c.x], LEFT, right)
    up = _Scale([y for c in curves for y in c.y], bottom, TOP, curves[0].unit)
    body = [_grid(across(t), TOP, across(t), bottom) for t in across.ticks]
    body += [_text(across(t), bottom + 18, f"{t:g}", "middle") for t in across.ticks]
    body += [_grid(LEFT, up(t), right, up(t)) for t in up.ticks]
    body += [_text(LEFT - 8, up(t) + 4, f"{t:g}", "end") for t in up.ticks]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="6 3"' if number >= len(COLOURS) else ""
        places = [across(float(x)) for x in curve.x]
        points = " ".join(f"{x:.1f},{up(y):.1f}" for x, y in zip(places, curve.y, strict=True))
        body.append(f'<polyline class="line" stroke="{colour}"{dash} points="{points}"/>')
        y = TOP + 12 + 18 * number
        body.append(
            f'<line x1="{right + 14}" y1="{y - 4}" x2="{right + 34}" y2="{y - 4}" '
            f'stroke="{colour}" stroke-width="3"{dash}/>'
        )
        body.append(_text(right + 40, y, curve.name))
    body.append(_text((LEFT + right) / 2, HEIGHT - 10, curves[0].unit, "middle"))
    return _document(title, HEIGHT, body)


def _bars(title: str, curve: Curve) -> str:
    left, height = 190, TOP + 28 * len(curve.y) + BOTTOM
    across = _Scale(curve.y, left, WIDTH - 80)
    bottom = height - BOTTOM
    body = [_grid(across(t), TOP, across(t), bottom) for t in across.ticks]
    body += [_text(across(t), bottom + 18, f"{t:g}", "middle") for t in across.ticks]
    for number, (name, value) in enumerate(zip(curve.x, curve.y, strict=True)):
        y, end = TOP + 28 * number, across(value)
        colour = COLOURS[0] if str(name).startswith("kju") else COLOURS[7]
        body.append(
            f'<rect x="{left}" y="{y + 4}" width="{max(end - left, 1):.1f}" height="18" '
            f'fill="{colour}"/>'
        )
        body.append(_text(left - 8, y + 18, str(name), "end"))
        body.append(_text(end + 6, y + 18, f"{value:.3g}" if value < 100 else f"{value:.0f}"))
    body.append(_text(left, height - 10, curve.unit))
    return _document(title, height, body)
