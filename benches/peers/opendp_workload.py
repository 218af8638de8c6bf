"""The audit's narrow questions, answered by OpenDP with Polars under the same epsilon and delta.

As many of them, in their order, as can be answered to within the stated error 95 times in 100; and
if asked for all of them, each with the same share. Counts the answers within the stated error.
"""

import argparse
import bisect
import functools
import gzip
import io
import json
import operator
import statistics
import warnings
from importlib.metadata import version

import opendp.prelude as dp
import polars as pl

dp.enable_features("contrib")
warnings.filterwarnings("ignore", category=FutureWarning)


def largest_rho(epsilon, delta):
    """The most zero-concentrated loss that OpenDP's own conversion takes to be no more."""
    space = dp.atom_domain(T=int), dp.absolute_distance(T=int)

    def fits(scale):
        private = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale))
        return private.map(1).epsilon(delta) <= epsilon

    scale = dp.binary_search(fits, bounds=(1e-2, 1e4))
    return 0.5 / scale**2


def cell(question):
    """The condition of a question."""
    all_of = [pl.col(name) == question[name] for name in ("site", "cost_share", "year")
              if question[name] is not None]  # fmt: skip
    if question["age"] is not None:
        low, high = question["age"]
        all_of += [pl.col("age") >= low, pl.col("age") <= high]
    if question["least_mdvis"] is not None:
        all_of.append(pl.col("mdvis") >= question["least_mdvis"])
    return functools.reduce(operator.and_, all_of)


def people(context, condition):
    """How many different people have a row in the cell: one row of each is kept."""
    kept = context.query().filter(condition).truncate_per_group(1)
    return kept.select(dp.len(signed=True))


def compositor(rows, rho, queries):
    return dp.Context.compositor(
        data=rows,
        privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("zper")),
        privacy_loss=dp.loss_of(rho=rho),
        split_evenly_over=queries,
        margins=[dp.polars.Margin(max_length=1_000_000)],
    )


def stated_error(rows, rho, queries, question):
    """What OpenDP says of one answer: at most this far off, 95 times in 100."""
    query = people(compositor(rows, rho, queries), cell(question))
    return query.summarize(alpha=0.05)["accuracy"][0]


def asked(rows, rho, questions, truths):
    """How far off each answer is."""
    context = compositor(rows, rho, len(questions))
    told = [people(context, cell(q)).release().collect().item() for q in questions]
    return [abs(one - truth) for one, truth in zip(told, truths)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="tests/audit", help="of workload.json and the rows")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="all of them as well: takes hours")
    options = parser.parse_args()
    with open(f"{options.folder}/workload.json", encoding="utf-8") as file:
        workload = json.load(file)
    with gzip.open(f"{options.folder}/rand_hie.csv.gz") as file:
        rows = pl.read_csv(io.BytesIO(file.read()), infer_schema_length=None).lazy()
    questions, within = workload["questions"], workload["within"]
    truths = [
        rows.filter(cell(q)).select(pl.col("zper").n_unique()).collect().item() for q in questions
    ]
    epsilon, delta = workload["epsilon"], workload["delta"]
    rho = largest_rho(epsilon, delta)
    first = questions[0]
    # The stated error grows with the number of questions that share.
    most = bisect.bisect_right(
        range(1, len(questions) + 1),
        within,
        key=lambda number: stated_error(rows, rho, number, first),
    )
    sizes = [("to within the error", most)] if most > 0 else []
    if options.all:
        sizes.append(("all", len(questions)))
    for name, number in sizes:
        runs = [
            sum(off <= within for off in asked(rows, rho, questions[:number], truths))
            for _ in range(options.runs)
        ]
        line = {
            "peer": "OpenDP, Polars",
            "version": version("opendp"),
            "asked": name,
            "epsilon": epsilon,
            "delta": delta,
            "rho": rho,
            "answered": number,
            "stated_error": stated_error(rows, rho, number, first),
            "within": statistics.median(runs),
            "least": min(runs),
            "most": max(runs),
            "runs": len(runs),
        }
        print(json.dumps(line), flush=True)


main()
