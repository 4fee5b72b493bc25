"""`make bench`: every measurement, one table; ends with 1 when a goal is missed."""

import asyncio
import sys
import tempfile
from pathlib import Path

from bench import deliveries, lists, measures, scripts, trouble
from bench.table import Row, show

MEASURES = (
    measures.start_and_idle,
    measures.integration_list,
    lists.activity_list,
    lists.environment_list,
    measures.signed_hooks,
    measures.first_status,
    measures.reconcile,
    deliveries.deliveries,
    trouble.dead_endpoint,
    trouble.waiting_retries,
    scripts.script_run,
)


def main() -> None:
    chosen = [each for each in MEASURES if not sys.argv[1:] or each.__name__ in sys.argv[1:]]
    rows: list[Row] = []
    for measure in chosen:
        print(f"measuring {measure.__name__.replace('_', ' ')} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder:
            Path(folder).chmod(0o755)
            rows += asyncio.run(measure(Path(folder) / "bench"))
    show(rows)
    sys.exit(any(row.holds is False for row in rows))


main()
