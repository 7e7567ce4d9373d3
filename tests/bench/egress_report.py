#!/usr/bin/env python3
"""egress_report.py FILE: the table of docs/performance.md from the raw figures of egress.py. Medians over the rounds; rounds
during which something else used over a fifth of a core count only where there is no other."""
import json
import pathlib
import statistics
import sys

# (scenario, what, unit of the figure, bar, bar with inbound detectors off)
ROWS = [
    ("A", "keep-alive GET 1 KiB, 32 connections", "µs", "35", None),
    ("B", "keep-alive GET 64 KiB", "µs", "170", "110"),
    ("C", "CONNECT + full handshake per request", "µs", "720", None),
    ("C2", "the same, TLS resumed", "µs", "520", None),
    ("D", "POST 64 KiB", "µs", "220", None),
    ("E", "100 MiB download", "s/GB", "2.2", "1.2"),
    ("F", "500 req/s open loop, p50 / p99", "ms", "0.28 / 0.8", None),
    ("G", "SSE first event, p50", "ms", "0.5", None)]
RATES = {"A": "≥ 2.5 × squid, ≥ 40 × mitmproxy", "C": "≥ 2 × squid", "D": "≥ 1.5 × squid"}
PEERS = ["squid", "mitmproxy"]


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Figures:
    def __init__(self, path):
        self.by = {}
        for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            self.by.setdefault((row["name"], row["scenario"]), []).append(row)

    def rows(self, name, scenario):
        rows = self.by.get((name, scenario), [])
        return [row for row in rows if "load" not in row or row["other_cpu_s"] <= 0.2 * row["load"]["seconds"]] or rows

    def median(self, name, scenario, pick):
        values = []
        for row in self.rows(name, scenario):
            try:
                values.append(pick(row))
            except (KeyError, TypeError, ZeroDivisionError):
                pass
        return statistics.median(values) if values else None

    def cpu(self, name, scenario):
        if name == "direct":
            return None
        if scenario == "E":
            return self.median(name, scenario, lambda r: r["proxy_cpu_s"] / (r["load"]["received_bytes"] + r["load"]["sent_bytes"]) * 1e9)
        return self.median(name, scenario, lambda r: r["proxy_cpu_s"] / r["load"]["requests"] * 1e6)

    def rate(self, name, scenario):
        return self.median(name, scenario, lambda r: r["load"]["received_mb_s" if scenario == "E" else "rps"])

    def latency(self, name, scenario):
        kind = "first_byte_ms" if scenario == "G" else "latency_ms"
        return [self.median(name, scenario, lambda r: r["load"][kind][q]) for q in (("p50",) if scenario == "G" else ("p50", "p99"))]

    def memory(self, name, scenario):
        return self.median(name, scenario, lambda r: r["memory"]["rss_kib"] / 1024)

    def wrong(self, name):
        """Errors and answers that were not 200, over all scenarios."""
        rows = [row["load"] for (who, _), group in self.by.items() if who == name for row in group if "load" in row]
        return sum(row["errors"] + row["unfinished"] + sum(n for code, n in row["statuses"].items() if code != "200") for row in rows)


def times(one, other):
    return f"{one / other:.2f}" if one and other else "–"


def print_report(path):
    f = Figures(path)
    rounds = len(f.by.get(("ours", "idle"), []))
    busy = sum("load" in row and row["other_cpu_s"] > 0.2 * row["load"]["seconds"] for group in f.by.values() for row in group)
    print(f"Medians of {rounds} rounds; {busy} single runs had other work beside them.\n")
    print("| scenario | bar | ours | squid | mitmproxy | direct | squid / ours | mitmproxy / ours |")
    print("|---|---|---|---|---|---|---|---|")
    for scenario, what, unit, bar, bar_off in ROWS:
        if scenario in ("F", "G"):
            values = {name: f.latency(name, scenario) for name in ("ours", "direct", *PEERS)}
            cell = {name: " / ".join(map(number, value)) for name, value in values.items()}
            ratio = {peer: times(values[peer][0], values["ours"][0]) for peer in PEERS}
        else:
            values = {name: f.cpu(name, scenario) for name in ("ours", *PEERS)}
            cell = {**{name: number(value) for name, value in values.items()}, "direct": ""}
            ratio = {peer: times(values[peer], values["ours"]) for peer in PEERS}
        print(f"| {scenario} {what}, {unit} | ≤ {bar} | {cell['ours']} | {cell['squid']} | {cell['mitmproxy']} | {cell['direct']} "
              f"| {ratio['squid']} | {ratio['mitmproxy']} |")
        if bar_off:
            off = f.cpu("ours-inbound-off", scenario)
            print(f"| {scenario} with inbound detectors off, {unit} | ≤ {bar_off} | {number(off)} | {cell['squid']} | {cell['mitmproxy']} | "
                  f"| {times(values['squid'], off)} | {times(values['mitmproxy'], off)} |")
    for key, what, bar, pick in [("start", "start to first accepted connection, ms", "30", lambda n: f.median(n, "start", lambda r: r["ready_ms"])),
                                 ("idle", "RSS idle, MiB", "12", lambda n: f.memory(n, "idle")),
                                 ("after", "RSS after all, MiB", "24", lambda n: f.memory(n, "after")),
                                 ("idle_connections", "KiB per idle TLS connection", "50",
                                  lambda n: f.median(n, "idle_connections", lambda r: r["kib"]))]:
        ours, squid, mitmproxy = (pick(name) for name in ("ours", *PEERS))
        print(f"| {what} | ≤ {bar} | {number(ours)} | {number(squid)} | {number(mitmproxy)} | | {times(squid, ours)} | {times(mitmproxy, ours)} |")
    held = {name: f.median(name, "idle_connections", lambda r: r["count"]) for name in ("ours", *PEERS)}
    print("\nIdle connections held: " + ", ".join(f"{name} {number(count)}" for name, count in held.items() if count) + ".")
    print("\nBy rate (requests a second; E in MB/s):\n")
    print("| scenario | bar | ours | squid | mitmproxy | direct | ours / squid | ours / mitmproxy | ours / direct |")
    print("|---|---|---|---|---|---|---|---|---|")
    for scenario in ("A", "B", "C", "C2", "D", "E"):
        rate = {name: f.rate(name, scenario) for name in ("ours", "direct", *PEERS)}
        print(f"| {scenario} | {RATES.get(scenario, '')} | {number(rate['ours'])} | {number(rate['squid'])} | {number(rate['mitmproxy'])} | "
              f"{number(rate['direct'])} | {times(rate['ours'], rate['squid'])} | {times(rate['ours'], rate['mitmproxy'])} | "
              f"{times(rate['ours'], rate['direct'])} |")
    wrong = {name: f.wrong(name) for name in ("direct", "ours", "ours-inbound-off", *PEERS) if any(who == name for who, _ in f.by)}
    print("\nAnswers that were errors or not 200: " + ", ".join(f"{name} {count}" for name, count in wrong.items()) + ".")


if __name__ == "__main__":
    print_report(sys.argv[1])
