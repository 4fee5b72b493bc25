"""Webhooks as people deliver them with Celery: a task for each, that signs, posts and is tried again."""

import os
from typing import Any, Final

import requests
from celery import Celery

from bench.receivers import KEY
from tieline.core.clock import now
from tieline.core.deliveries import Message
from tieline.core.secret import Secret
from tieline.integrations.signatures import SigningKey, signed_headers

PORT_VARIABLE: Final = "BENCH_REDIS_PORT"
_KEYS: Final = [SigningKey(Secret(KEY))]

_session = requests.Session()
app = Celery("bench")
app.conf.update(
    # A task that was under way when its worker died is done again, as a delivery is.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Both are what Celery advises for many short tasks.
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
)


def _deliver(url: str, id: str, body: str) -> str:
    message = Message(id, body.encode())
    headers = signed_headers(message, now(), _KEYS)
    answer = _session.post(url, data=message.body, headers=headers, timeout=20, allow_redirects=False)
    answer.raise_for_status()
    return f"The receiver answered {answer.status_code}."


deliver: Any = app.task(
    name="deliver", autoretry_for=(requests.RequestException,), max_retries=7, retry_backoff=5, retry_jitter=True
)(_deliver)


def use_redis(port: int) -> None:
    """Tasks wait in one database of that Redis, results are kept in another."""
    app.conf.update(broker_url=f"redis://127.0.0.1:{port}/0", result_backend=f"redis://127.0.0.1:{port}/1")


if PORT_VARIABLE in os.environ:
    use_redis(int(os.environ[PORT_VARIABLE]))
