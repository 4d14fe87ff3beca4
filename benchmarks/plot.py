#!/usr/bin/env python3
"""Draws what `growth`, `overload` and `scale` write as JSON: an SVG of one plot below the other, in the look of docs/."""

import argparse
import html
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 900, 270           # of one plot
LEFT, RIGHT, TOP, BOTTOM = 80, 30, 60, 50
HEADING = 40                       # above the first
COLORS = ["#5b7db1", "#c9952b", "#4f8f6b", "#a8526b"]


def nice_step(most):
    """1, 2 or 5 times a power of ten, so that about five steps reach `most`."""
    rough = most / 5 or 1
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if rough <= factor * power)


def short(value):
    for size, mark in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{mark}"
    return f"{value:g}"


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(words)}</text>'


class Axes:
    """Where a value stands in the plot, and which values are written beside it."""

    def __init__(self, plot, above):
        points = [point for line in plot["lines"] for point in line["points"]]
        self.logarithmic = plot["x_logarithmic"]
        self.top, self.bottom = above + TOP, above + HEIGHT - BOTTOM
        self.x_values = sorted({point[0] for point in points})
        self.x_least = self.scaled(self.x_values[0]) if self.logarithmic else 0
        self.x_most = self.scaled(self.x_values[-1])
        step = nice_step(max(point[3] for point in points))
        self.y_ticks = [step * count for count in range(math.ceil(max(point[3] for point in points) / step) + 1)]

    def scaled(self, x):
        return math.log10(x) if self.logarithmic else x

    def x(self, value):
        share = (self.scaled(value) - self.x_least) / ((self.x_most - self.x_least) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return self.bottom - value / (self.y_ticks[-1] or 1) * (self.bottom - self.top)

    def x_ticks(self):
        if self.logarithmic:
            return self.x_values
        step = nice_step(self.x_most)
        return [step * count for count in range(int(self.x_most / step + 1e-9) + 1)]


def drawn(plot, above):
    axes = Axes(plot, above)
    yield text(LEFT, above + 20, plot["title"], "start", ' font-weight="600" fill="#1f2a3a"')
    yield text(LEFT, above + 42, plot["y"], "start")
    yield text(WIDTH - RIGHT, axes.bottom + 38, plot["x"], "end")
    for value in axes.y_ticks:
        yield f'<path d="M{LEFT} {axes.y(value):.1f} H{WIDTH - RIGHT}" stroke="#c8d0dc" fill="none"/>'
        yield text(LEFT - 10, axes.y(value) + 5, short(round(value, 9)), "end")
    for value in axes.x_ticks():
        yield text(axes.x(value), axes.bottom + 20, short(round(value, 9)))
    legend = WIDTH - RIGHT
    for line, color in reversed(list(zip(plot["lines"], COLORS))):
        points = [(axes.x(x), axes.y(y), axes.y(least), axes.y(most)) for x, y, least, most in line["points"]]
        band = [(x, most) for x, _, _, most in points] + [(x, least) for x, _, least, _ in reversed(points)]
        yield (f'<polygon fill="{color}" fill-opacity="0.18" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in band) + '"/>')
        yield (f'<polyline fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round" points="' +
               " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points) + '"/>')
        if len(plot["lines"]) > 1:
            yield text(legend, above + 42, line["name"], "end", f' fill="{color}" font-weight="600"')
            legend -= 9 * len(line["name"]) + 20


def page(figures):
    height = HEADING + HEIGHT * len(figures["plots"])
    title = html.escape(figures["title"], quote=True)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" '
           f'font-size="14" fill="#44546a" role="img" aria-label="{title}">')
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    yield text(LEFT, 28, figures["title"], "start")
    for place, plot in enumerate(figures["plots"]):
        yield from drawn(plot, HEADING + place * HEIGHT)
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=pathlib.Path, help="what --json wrote")
    parser.add_argument("svg", type=pathlib.Path, help="the file to make")
    options = parser.parse_args()
    try:
        figures = json.loads(options.figures.read_text(encoding="utf-8"))
        options.svg.write_text("\n".join(page(figures)) + "\n", encoding="utf-8")
    except OSError as failure:
        sys.exit(f"plot.py: {failure.filename}: {failure.strerror}")
    except (ValueError, KeyError) as failure:
        sys.exit(f"plot.py: {options.figures} is not what growth, overload or scale wrote with --json: {failure!r}")


if __name__ == "__main__":
    main()
