"""SmartNoise SQL over Pandas: private answers, bounded for each person by a sample of rows."""

import logging
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
import pandas
import snsql
from snsql.sql.privacy import Privacy

import common

METADATA = {
    "": {
        "clinic": {
            "visits": {
                "row_privacy": False,
                "max_ids": common.MOST_ROWS,
                "sample_max_ids": True,
                "censor_dims": False,
                "clamp_counts": False,
                "person": {"type": "int", "private_id": True},
                "region": {"type": "string"},
                "age": {"type": "int", "lower": 0, "upper": 120},
                "cost": {"type": "float", "lower": common.COST[0], "upper": common.COST[1]},
            }
        }
    }
}


def main():
    logging.disable(logging.WARNING)
    options = common.arguments(__doc__).parse_args()
    columns = ["person", "region", "age", "cost"]
    visits = pandas.read_parquet(f"{options.folder}/visits.parquet", columns=columns)
    # Rows are copied into its own database here, once, outside what is measured.
    privacy = Privacy(epsilon=common.EPSILON, delta=common.DELTA)
    reader = snsql.from_df(visits, privacy=privacy, metadata=METADATA)

    def answer(sql):
        sql = sql.replace("FROM visits", "FROM clinic.visits")
        # The first row has the names.
        return lambda: reader.execute(sql)[1:]

    # The join is not asked: rows are bounded for one table only.
    names = [name for name in common.QUERIES if name != "join with totals"]
    answers = {name: answer(common.QUERIES[name]) for name in names}
    common.run("SmartNoise SQL, Pandas", version("smartnoise-sql"), answers, options)


main()
