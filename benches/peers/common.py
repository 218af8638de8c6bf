"""What the scripts for all peers share: arguments, clocks, and how one is asked and tells.

A peer is a function that takes the arguments and gives a dictionary: name of a query -> a function
without arguments that answers it and returns the rows. Without `--asked` each query is run
`--runs` times after one run that is not counted, and one line of JSON is printed for each. With
`--asked` names of queries are read from standard input, one a line, each is run once, and one
line of JSON is printed for it, so that several peers can take turns.
"""

import argparse
import json
import resource
import statistics
import sys
import time

# The same for everybody. Obscura is asked them as they stand.
QUERIES = {
    "by region": "SELECT region, COUNT(*), SUM(cost), AVG(cost) FROM visits GROUP BY region",
    "by region, where": "SELECT region, COUNT(*), SUM(cost), AVG(cost) FROM visits "
    "WHERE age < 40 GROUP BY region",
    "people by region": "SELECT region, COUNT(DISTINCT person) FROM visits GROUP BY region",
    "join with totals": "SELECT home, COUNT(*), AVG(total) FROM people JOIN "
    "(SELECT person, SUM(cost) AS total FROM visits GROUP BY person) AS t "
    "ON people.person = t.person GROUP BY home",
}

REGIONS = [f"R{region:02}" for region in range(20)]

# What the description declares: used as bounds by those that give private answers.
MOST_ROWS = 10
COST = (0.0, 500.0)
RHO = 0.1
EPSILON, DELTA = 1.0, 1e-9


def arguments(about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--folder", required=True, help="has visits.parquet and people.parquet")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--asked", action="store_true", help="read names of queries")
    parser.add_argument("--only", default="", help="only queries whose name has this")
    parser.add_argument("--show", action="store_true", help="print the rows, too")
    return parser


def seconds_on_processors():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def once(answer):
    """Milliseconds by the clock and on processors, and what was answered."""
    worked, start = seconds_on_processors(), time.perf_counter()
    rows = answer()
    millis = (time.perf_counter() - start) * 1e3
    return millis, (seconds_on_processors() - worked) * 1e3, rows


def run(peer, version, answers, options):
    """Answers what is asked, until there is no more."""

    def tell(name, times, worked, rows):
        line = {
            "peer": peer,
            "version": version,
            "name": name,
            "millis": statistics.median(times),
            "least": min(times),
            "most": max(times),
            "on_processors": statistics.median(worked),
            "runs": len(times),
            "threads": options.threads,
            "groups": len(rows),
        }
        if options.show:
            line["rows"] = rows
        print(json.dumps(line, default=str), flush=True)

    if options.asked:
        print(json.dumps({"peer": peer, "version": version, "names": list(answers)}), flush=True)
        for name in map(str.strip, sys.stdin):
            millis, worked, rows = once(answers[name])
            tell(name, [millis], [worked], rows)
        return
    for name, answer in answers.items():
        if options.only in name:
            once(answer)
            runs = [once(answer) for _ in range(max(options.runs, 1))]
            tell(name, [r[0] for r in runs], [r[1] for r in runs], runs[-1][2])
