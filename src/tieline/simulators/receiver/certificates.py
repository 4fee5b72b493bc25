"""Certificates of an authority of our own: one that is right, and the ways in which one can be wrong."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Flaw = Literal["none", "wrong-name", "expired", "self-signed"]

_AUTHORITY: Final = "Simulated Authority"
_ELSEWHERE: Final = "elsewhere.example"
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class _Identity:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Issues certificates into a folder. Who trusts the file `path` trusts those without a flaw."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = _issue(_AUTHORITY, None, is_authority=True)
        self.path = folder / "authority.pem"
        self.path.write_bytes(self._identity.certificate.public_bytes(Encoding.PEM))

    def context(self, host: str, flaw: Flaw = "none") -> ssl.SSLContext:
        """What a server at `host`, a name or an address, is to be started with."""
        identity = _issue(
            _ELSEWHERE if flaw == "wrong-name" else host,
            None if flaw == "self-signed" else self._identity,
            age=2 * _DAY if flaw == "expired" else timedelta(),
        )
        path = self._folder / f"{flaw}.pem"
        path.touch(0o600)
        secret = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(secret + identity.certificate.public_bytes(Encoding.PEM))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        return context


def _issue(
    name: str, issuer: _Identity | None, *, is_authority: bool = False, age: timedelta = timedelta()
) -> _Identity:
    """A certificate that is good for a day, `age` ago; signed by itself when there is no `issuer`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    begins = datetime.now(UTC) - _DAY / 2 - age
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + _DAY)
        .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signer = issuer.key if issuer else key
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return _Identity(builder.add_extension(authority, critical=False).sign(signer, hashes.SHA256()), key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.replace(" ", "-"))
