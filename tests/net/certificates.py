"""Certificates of an authority that only the tests trust."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Authority of the tests")
        basics = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, self._key, days=1).issuer_name(self._name).add_extension(basics, critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    def client(self) -> ssl.SSLContext:
        """What trusts this authority alone."""
        return ssl.create_default_context(cadata=self._certificate.public_bytes(Encoding.PEM).decode())

    def server(self, names: Sequence[str], days: int = 1) -> ssl.SSLContext:
        """A server with a certificate for these names and addresses, which ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(names[0]), key, days).issuer_name(self._name)
        alternatives = x509.SubjectAlternativeName([_alternative(each) for each in names])
        return self._context(builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256()), key)

    def impostor(self, name: str) -> ssl.SSLContext:
        """A server that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), key, days=1).issuer_name(_name(name))
        alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
        return self._context(builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256()), key)

    def _context(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
        path = self._folder / f"{certificate.serial_number}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=9))
        .not_valid_after(end)
    )
