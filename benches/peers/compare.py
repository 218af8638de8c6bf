"""Asks Obscura and its peers the same questions in turns, and tells medians and ratios.

Every peer is a process of its own that stays, with its tables open and warm. In each round
Obscura's fold runs, and then every peer answers every query once. What is compared is of one
round, so that whatever else the machine does is borne by all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Name, environment, script and arguments.
PLAIN = [
    ("DuckDB, native", "main", ["duckdb_peer.py", "--on", "native"]),
    ("DuckDB, parquet", "main", ["duckdb_peer.py", "--on", "parquet"]),
    ("DataFusion, parquet", "main", ["datafusion_peer.py"]),
]
PRIVATE = [
    ("OpenDP, Polars", "main", ["opendp_peer.py"]),
    ("SmartNoise SQL, Pandas", "smartnoise", ["smartnoise_peer.py"]),
    ("Qrlew on DuckDB", "qrlew", ["qrlew_peer.py"]),
]
OURS = "Obscura"


class Peer:
    """A peer that stays."""

    def __init__(self, options, environment, arguments):
        python = os.path.join(options.home, environment, "bin", "python")
        command = [python, "-W", "ignore", os.path.join(HERE, arguments[0]), *arguments[1:]]
        command += ["--folder", options.folder, "--threads", str(options.threads), "--asked"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.told = self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[3]} ended; what it said is above.")
        return json.loads(line)

    def ask(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return self.line()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def ours(options):
    """One turn of Obscura's: name of a query -> what was measured."""
    command = [options.fold, "--folder", options.folder, "--subjects", str(options.subjects)]
    command += ["--threads", str(options.threads), "--runs", str(options.turn), "--json"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line["name"]: line for line in map(json.loads, told.splitlines())}


def measure(options, peers):
    """(peer, query) -> milliseconds by the clock and on processors, one pair for each round."""
    stay = {name: Peer(options, environment, script) for name, environment, script in peers}
    figures = {}
    names = ["by region", "by region, where", "people by region", "join with totals"]
    # The first round warms caches and is not counted.
    for turn in range(options.rounds + 1):
        mine = ours(options)
        for name in names:
            asked = [(OURS, mine[name])]
            asked += [(p, s.ask(name)) for p, s in stay.items() if name in s.told["names"]]
            for peer, line in asked:
                if turn > 0:
                    pair = (line["millis"], line["on_processors"])
                    figures.setdefault((peer, name), []).append(pair)
    versions = {peer: stays.told["version"] for peer, stays in stay.items()}
    for stays in stay.values():
        stays.stop()
    return figures, versions, names


def lines(options, figures, versions, names):
    """One dictionary for each query and peer; a ratio is the median of those of single rounds."""
    for name in names:
        mine = figures[OURS, name]
        for peer in [OURS, *versions]:
            theirs = figures.get((peer, name))
            if theirs is None:
                continue
            clock, worked = zip(*theirs)
            line = {
                "query": name,
                "peer": peer,
                "version": versions.get(peer),
                "millis": statistics.median(clock),
                "least": min(clock),
                "most": max(clock),
                "on_processors": statistics.median(worked),
                "rounds": len(theirs),
                "threads": options.threads,
                "subjects": options.subjects,
            }
            if peer != OURS:
                pairs = list(zip(theirs, mine))
                line["times"] = statistics.median(t[0] / max(m[0], 1e-3) for t, m in pairs)
                # The system counts processors' time in steps of 10 ms, spread over a turn.
                least = 10.0 / options.turn
                line["times_on_processors"] = statistics.median(
                    t[1] / max(m[1], least) for t, m in pairs
                )
            yield line


def table(all_lines):
    head = ["query", "who", "ms", "least", "most", "ms on processors", "times", "times on proc."]
    rows = [head]
    for line in all_lines:
        numbers = [line["millis"], line["least"], line["most"], line["on_processors"]]
        numbers += [line.get("times"), line.get("times_on_processors")]
        texts = ["" if n is None else f"{n:.1f}" if n < 1000 else f"{n:.0f}" for n in numbers]
        who = " ".join(filter(None, [line["peer"], line["version"]]))
        rows.append([line["query"], who, *texts])
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    for row in rows:
        cells = [
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths))
        ]
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fold", required=True, help="the binary that measures Obscura")
    parser.add_argument("--home", required=True, help="of the peers' environments")
    parser.add_argument("--folder", required=True, help="where rows are made and kept")
    parser.add_argument("--subjects", type=int, default=1_000_000, help="ten rows each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn", type=int, default=3, help="runs of Obscura, odd")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--private", action="store_true", help="beside private systems")
    parser.add_argument("--without", action="append", default=[], help="a peer to leave out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.turn % 2 == 0:
        parser.error("--turn is odd: the median of an even number of runs would be the lower one.")
    # Makes the rows, if they are not there.
    ours(argparse.Namespace(**{**vars(options), "turn": 1}))
    peers = [p for p in (PRIVATE if options.private else PLAIN) if p[0] not in options.without]
    all_lines = list(lines(options, *measure(options, peers)))
    if options.json:
        for line in all_lines:
            print(json.dumps(line))
    else:
        table(all_lines)


if __name__ == "__main__":
    sys.exit(main())
