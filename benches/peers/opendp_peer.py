"""OpenDP with Polars: private answers, bounded for each person by the identifier."""

import os
import sys
from importlib.metadata import version

# Polars reads it when it is loaded.
if "--threads" in sys.argv:
    os.environ["POLARS_MAX_THREADS"] = sys.argv[sys.argv.index("--threads") + 1]
else:
    os.environ["POLARS_MAX_THREADS"] = "2"

import opendp.prelude as dp
import polars as pl
import pyarrow.parquet as parquet

import common

dp.enable_features("contrib")


def main():
    options = common.arguments(__doc__).parse_args()
    # In memory, which is the best case; through Arrow, as Polars refuses some newer files.
    visits = pl.from_arrow(parquet.read_table(f"{options.folder}/visits.parquet")).lazy()
    regions = pl.LazyFrame({"region": common.REGIONS})

    def context(data):
        return dp.Context.compositor(
            data=data,
            privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("person")),
            privacy_loss=dp.loss_of(rho=common.RHO, delta=common.DELTA),
            split_evenly_over=1,
            margins=[dp.polars.Margin(max_length=100_000_000)],
        )

    def released(query, group, *sums):
        return (
            query.truncate_per_group(common.MOST_ROWS)
            .group_by(group)
            .agg(*sums)
            .with_keys(regions)
            .release()
            .collect()
            .rows()
        )

    # The average is that of the two sums: it costs nothing more.
    sums = dp.len(signed=True), pl.col("cost").fill_nan(0.0).fill_null(0.0).dp.sum(common.COST)

    def by_region():
        return released(context(visits).query(), "region", *sums)

    def where():
        return released(context(visits).query().filter(pl.col("age") < 40), "region", *sums)

    def counted():
        # To keep some regions of a person at random fails in this version, so rows are bounded.
        return released(context(visits).query(), "region", pl.col("person").dp.n_unique(signed=True))

    answers = {
        "by region": by_region,
        "by region, where": where,
        "people by region": counted,
    }
    common.run("OpenDP, Polars", version("opendp"), answers, options)


main()
