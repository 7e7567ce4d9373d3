#!/usr/bin/env python3
"""Draws a terminal screen as SVG: `tmux capture-pane -e -p | terminal_svg.py TITLE > picture.svg`.

Reads text with SGR colors (bold, dim, the 16 colors, 256 colors, reverse is ignored), writes one <text> a line. Standard library only."""
import html
import re
import sys

COLORS = ["#1e1e2e", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5", "#bac2de",
          "#6c7086", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5", "#ffffff"]
WIDTH, HEIGHT, PAD, BAR = 7.85, 17, 14, 30


def color_256(index):
    if index < 16:
        return COLORS[index]
    if index >= 232:
        level = 8 + (index - 232) * 10
        return f"#{level:02x}{level:02x}{level:02x}"
    index -= 16
    levels = [0, 95, 135, 175, 215, 255]
    return "#%02x%02x%02x" % (levels[index // 36], levels[index // 6 % 6], levels[index % 6])


def spans(line):
    fill, bold, dim = None, False, False
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        match = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not match:
            if part:
                yield part, fill, bold, dim
            continue
        codes = [int(code or 0) for code in match.group(1).split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                fill, bold, dim = None, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif 30 <= code <= 37:
                fill = COLORS[code - 30]
            elif 90 <= code <= 97:
                fill = COLORS[code - 82]
            elif code == 39:
                fill = None
            elif code == 38 and codes[:1] == [5]:
                fill = color_256(codes[1])
                codes = codes[2:]


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else ""
    lines = sys.stdin.read().rstrip("\n").split("\n")
    columns = max([len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines] + [60])
    width, height = columns * WIDTH + 2 * PAD, len(lines) * HEIGHT + 2 * PAD + BAR
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{COLORS[0]}"/>')
    for number, dot in enumerate(("#f38ba8", "#f9e2af", "#a6e3a1")):
        print(f'<circle cx="{20 + 18 * number}" cy="17" r="6" fill="{dot}"/>')
    print(f'<text x="50%" y="21" text-anchor="middle" fill="#a6adc8" font-family="sans-serif" font-size="12">'
          f'{html.escape(title)}</text>')
    print('<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, monospace" font-size="13" fill="#cdd6f4" xml:space="preserve">')
    for number, line in enumerate(lines):
        y, x = BAR + PAD + (number + 0.75) * HEIGHT, PAD
        for text, fill, bold, dim in spans(line):
            style = (f' fill="{fill}"' if fill else "") + (' font-weight="bold"' if bold else "") + (' opacity=".65"' if dim else "")
            # textLength keeps columns aligned whatever font the reader has.
            print(f'<text x="{x:.1f}" y="{y:.1f}" textLength="{len(text) * WIDTH:.1f}"{style}>{html.escape(text)}</text>')
            x += len(text) * WIDTH
    print("</g></svg>")


if __name__ == "__main__":
    main()
