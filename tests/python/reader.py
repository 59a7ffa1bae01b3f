"""Reads the lake for the tests: one JSON request a line on standard input, one JSON answer a line on standard output.

    {"sql": "SELECT ..."}                 -> {"columns": [...], "rows": [[...], ...]}
    {"arrow": "data/events", "s3": null}  -> {"rows": n, "ids": [...]}   every event_id below the path, by pyarrow
    anything that fails                   -> {"error": "..."}

The argument is a JSON object or null: where S3 is (endpoint, key_id, secret), without a scheme in the endpoint.
"""
import importlib
import json
import pathlib
import sys

import duckdb


def extension(name):
    """The file of an extension that a wheel brought: nothing is fetched at run time."""
    module = importlib.import_module(f"duckdb_extension_{name}")
    pattern = f"extensions/v{duckdb.__version__}/*.duckdb_extension"
    return str(next(pathlib.Path(module.__file__).parent.glob(pattern)))


def connect(s3):
    offline = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(config=offline)
    connection.execute("SET TimeZone = 'UTC'")
    if s3:
        connection.execute(f"LOAD '{extension('httpfs')}'")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{s3['key_id']}', SECRET '{s3['secret']}', REGION 'us-east-1', "
            f"ENDPOINT '{s3['endpoint']}', URL_STYLE 'path', USE_SSL false)"
        )
    return connection


def arrow(path, s3):
    """Ids of all rows below a path, read by an implementation of Parquet that is neither ours nor DuckDB's."""
    import pyarrow.dataset
    import pyarrow.fs

    system = None
    if s3:
        system = pyarrow.fs.S3FileSystem(
            access_key=s3["key_id"], secret_key=s3["secret"], region="us-east-1",
            endpoint_override=s3["endpoint"], scheme="http",
        )
    # By listing: not every S3 server answers when asked for a folder as if it were an object.
    found = (system or pyarrow.fs.LocalFileSystem()).get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
    paths = [file.path for file in found if file.is_file and file.path.endswith(".parquet")]
    dataset = pyarrow.dataset.dataset(
        paths, filesystem=system, format="parquet", partitioning="hive", partition_base_dir=path
    )
    table = dataset.to_table()
    ids = table.column("event_id").to_pylist()
    return {"rows": table.num_rows, "columns": table.column_names, "ids": ids}


def answer(connection, s3, request):
    if "arrow" in request:
        return arrow(request["arrow"], s3)
    cursor = connection.execute(request["sql"])
    columns = [column[0] for column in cursor.description or []]
    return {"columns": columns, "rows": cursor.fetchall()}


def main():
    s3 = json.loads(sys.argv[1])
    connection = connect(s3)
    for line in sys.stdin:
        try:
            reply = answer(connection, s3, json.loads(line))
        except Exception as error:  # the test decides what a failure means
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply, default=str), flush=True)


main()
