"""DuckDB, without privacy: on Parquet, or on its own tables in memory."""

import duckdb

import common


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--on", choices=["parquet", "native"], default="native")
    options = parser.parse_args()
    base = duckdb.connect()
    base.execute(f"SET threads = {options.threads}")
    kind = "VIEW" if options.on == "parquet" else "TABLE"
    for table in ("visits", "people"):
        path = f"{options.folder}/{table}.parquet".replace("'", "''")
        base.execute(f"CREATE {kind} {table} AS SELECT * FROM read_parquet('{path}')")

    def answer(sql):
        return lambda: base.execute(sql).fetchall()

    answers = {name: answer(sql) for name, sql in common.QUERIES.items()}
    common.run(f"DuckDB, {options.on}", duckdb.__version__, answers, options)


main()
