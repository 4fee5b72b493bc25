"""Say in the project's errors why a request got no answer. Pure."""

import os
import ssl
from dataclasses import dataclass
from typing import Final

from tieline.core.errors import EgressRefused, RemoteBroken, RemoteError, RemoteRejected, Unreachable
from tieline.core.http import Request
from tieline.core.redact import origin_of
from tieline.net.answer import BrokenOff, NotHTTP

FAILURES: Final = (OSError, ValueError, BrokenOff, NotHTTP)
"""What `explain` explains."""


@dataclass(slots=True)
class Trail:
    """How far a request came: the address that was dialled, and whether it answered, and spoke TLS where it should."""

    address: str = ""
    is_dialled: bool = False
    is_connected: bool = False
    refusal: EgressRefused | None = None


def overdue(request: Request, trail: Trail, *, is_looked_up: bool) -> Unreachable:
    """The error of a request that took longer than it may, while its host may still be looked up."""
    where, limit = origin_of(request.url), f"within {request.seconds:g} s"
    if is_looked_up and not trail.address:
        return Unreachable(f"The host name of {where} could not be resolved {limit}.", "dns")
    if trail.is_dialled and not trail.is_connected:
        return Unreachable(f"TLS was not agreed upon with {where} {limit}.", "timeout")
    if not trail.is_connected:
        return Unreachable(f"No connection to {where} could be made {limit}.", "timeout")
    return Unreachable(f"{where} did not answer in full {limit}.", "timeout")


def explain(error: Exception, request: Request, trail: Trail) -> RemoteError:
    """The error of a request that failed, without what it may quote of headers, path or query."""
    where = origin_of(request.url)
    if trail.refusal is not None:
        return trail.refusal
    if isinstance(error, OSError) and not trail.is_connected:
        return _explain_handshake(error, where) if trail.is_dialled else _explain_dialling(error, where)
    return _explain_exchange(error, where)


def _explain_handshake(error: OSError, where: str) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"The TLS certificate of {where} is not valid for it{_flaw(error)}.", "certificate")
    # So a peer ends the handshake that speaks no TLS, or not ours.
    if isinstance(error, ConnectionError):
        return Unreachable(f"{where} closed the connection before TLS was agreed upon.", "tls")
    return Unreachable(f"No TLS connection to {where} could be made.", "tls")


def _flaw(error: ssl.SSLCertVerificationError) -> str:
    return f": {error.verify_message.rstrip('.')}" if error.verify_message else ""


def _explain_dialling(error: OSError, where: str) -> Unreachable:
    if isinstance(error, TimeoutError):
        return Unreachable(f"No connection to {where} could be made in time.", "timeout")
    # The text that asyncio gives instead repeats the address.
    reason = f": {os.strerror(error.errno)}" if error.errno else ""
    return Unreachable(f"No connection to {where} could be made{reason}.", "connection")


def _explain_exchange(error: Exception, where: str) -> RemoteError:
    if isinstance(error, BrokenOff):
        return RemoteBroken(f"The answer of {where} broke off.")
    if isinstance(error, NotHTTP):
        flaw = f": {error}" if str(error) else ""
        return RemoteBroken(f"The answer of {where} is not valid HTTP{flaw}.")
    if isinstance(error, OSError):
        return Unreachable(f"{where} closed the connection without an answer.", "closed")
    return RemoteRejected(f"The request to {where} cannot be sent: a header or the URL is not valid in HTTP.")
