"""DataFusion on Parquet, without privacy."""

import datafusion
from datafusion import SessionConfig, SessionContext

import common


def main():
    options = common.arguments(__doc__).parse_args()
    session = SessionContext(SessionConfig().with_target_partitions(options.threads))
    for table in ("visits", "people"):
        session.register_parquet(table, f"{options.folder}/{table}.parquet")

    def answer(sql):
        return lambda: [row for batch in session.sql(sql).collect() for row in batch.to_pylist()]

    answers = {name: answer(sql) for name, sql in common.QUERIES.items()}
    common.run("DataFusion, parquet", datafusion.__version__, answers, options)


main()
