"""What the server says of itself: events as one line of JSON each on standard error."""

import logging
import sys

import structlog


def configure_server_log(least: str) -> None:
    """Write what is at least as grave as `least`, e.g. `info`."""
    level = logging.getLevelNamesMapping()[least.upper()]
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[*steps, *rendering],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _configure_libraries(level, [*steps, structlog.stdlib.add_logger_name], rendering)


def _configure_libraries(
    level: int, steps: list[structlog.typing.Processor], rendering: list[structlog.typing.Processor]
) -> None:
    """What the libraries log, in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])
    # What becomes of workers and jobs, and that the database is away, is said by those whom it concerns.
    for name in ("procrastinate", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
