# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One authority, and a certificate for each part of the cluster."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 3650
Key = ec.EllipticCurvePrivateKey


class Authority:
    """Writes <name>.crt and <name>.key into a folder; the authority itself is ca.crt."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aiops-runbook test cluster")])
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write("ca", certificate.sign(self._key, hashes.SHA256()), self._key)

    def issue(self, name: str, common_name: str, organisation: str = "", hosts: tuple[str, ...] = ()) -> None:
        """A certificate for a client, and for a server too where hosts are given."""
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        subject += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name(subject), key).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def account_key(self) -> None:
        """sa.key and sa.pub: with these service accounts' tokens are signed and read."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        _secret(self.folder / "sa.key", private)
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "sa.pub").write_bytes(public)

    def kubeconfig(self, path: Path, name: str, server: str) -> None:
        """A kubeconfig (as JSON, which is YAML) with this certificate in it."""
        cluster = {"server": server, "certificate-authority-data": _data(self.folder / "ca.crt")}
        user = {"client-certificate-data": _data(self.folder / (name + ".crt")), "client-key-data": _data(self.folder / (name + ".key"))}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "aiops-runbook", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "aiops-runbook", "context": {"cluster": "aiops-runbook", "user": name}}],
            "current-context": "aiops-runbook",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        _secret(path, json.dumps(config, indent=1).encode())

    def _builder(self, subject: x509.Name, key: Key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
        )

    def _write(self, name: str, certificate: x509.Certificate, key: Key) -> None:
        (self.folder / (name + ".crt")).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _secret(
            self.folder / (name + ".key"),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()),
        )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
