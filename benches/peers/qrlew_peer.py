"""Qrlew rewrites queries into private ones, which DuckDB answers from its tables in memory."""

from importlib.metadata import version

import duckdb
import sqlalchemy
from pyqrlew import Dataset

import common

UNIT = [
    ("visits", [], "person"),
    ("people", [], "person"),
]


def described(sizes):
    """How many rows the tables have, and what is public of their columns."""
    # It asks a database for names, types and sizes: one with as many empty rows.
    engine = sqlalchemy.create_engine("sqlite://")
    columns = {
        "visits": "person INTEGER, region TEXT, age INTEGER, cost FLOAT",
        "people": "person INTEGER, home TEXT",
    }
    with engine.begin() as connection:
        for table, size in sizes.items():
            connection.execute(sqlalchemy.text(f"CREATE TABLE {table} ({columns[table]})"))
            rows = f"SELECT 1 UNION ALL SELECT n + 1 FROM rows WHERE n < {size}"
            fill = f"WITH RECURSIVE rows (n) AS ({rows}) SELECT n FROM rows"
            connection.execute(sqlalchemy.text(f"INSERT INTO {table} (person) {fill}"))
    dataset = Dataset.from_database("clinic", engine, None)
    dataset = dataset.with_range(None, "visits", "age", 0, 120)
    dataset = dataset.with_range(None, "visits", "cost", *common.COST)
    dataset = dataset.with_possible_values(None, "visits", "region", common.REGIONS)
    return dataset.with_possible_values(None, "people", "home", common.REGIONS)


def main():
    options = common.arguments(__doc__).parse_args()
    base = duckdb.connect()
    base.execute(f"SET threads = {options.threads}")
    for table in ("visits", "people"):
        path = f"{options.folder}/{table}.parquet".replace("'", "''")
        base.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{path}')")
    tables = ("visits", "people")
    sizes = {t: base.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in tables}
    dataset = described(sizes)

    def answer(sql):
        def private():
            rewritten = dataset.relation(sql).rewrite_with_differential_privacy(
                dataset,
                UNIT,
                {"epsilon": common.EPSILON, "delta": common.DELTA},
                max_multiplicity=float(common.MOST_ROWS),
            )
            text = rewritten.relation().to_query()
            # What is called FLOAT there has 64 bits, as in PostgreSQL.
            return base.execute(text.replace("AS FLOAT)", "AS DOUBLE)")).fetchall()

        return private

    # Different people come out as rows, and totals of a person with noise beyond any use.
    names = ("by region", "by region, where")
    answers = {name: answer(common.QUERIES[name]) for name in names}
    name = f"Qrlew, DuckDB {duckdb.__version__}"
    common.run(name, version("pyqrlew"), answers, options)


main()
