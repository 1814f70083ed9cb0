"""Authorities and certificates for one test, as files."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


class Authority:
    """An authority of its own, and what it signs; files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, common_name: str | None = None) -> tuple[Path, Path]:
        """The files of a certificate for ``name`` (a host or an address) and of its key, which is PKCS #8."""
        issued = self._ca.issue_cert(name, common_name=common_name)
        certificate, key = self._folder / f"{common_name or name}.pem", self._folder / f"{common_name or name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        private = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key
