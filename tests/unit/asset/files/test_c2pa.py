"""A master comes with a credential where a key is configured; it reads back, and no other file fits it."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dreamfoundry.asset.files.c2pa import CERTIFICATE_VARIABLE, CREDENTIAL, KEY_VARIABLE, MEDIA_TYPE, sign
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.settings.export_profiles import ExportProfile

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
GLB = b"glTF" + bytes(range(200))
DRAFT = AssetDraft("a", ExportProfile(), 1.0, {"digital_source_type": SOURCE_TYPE}, (Glb("a.glb", GLB),))


@pytest.fixture
def key_and_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signer with a chain of two certificates, named by the environment: C2PA wants no self-signed signer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "signer")}

    def certificate(name: str) -> x509.Certificate:
        is_root = name == "root"
        named = {
            one: x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Tests"),
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, one),
                ]
            )
            for one in ("root", name)
        }
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )

        builder = (
            x509.CertificateBuilder()
            .subject_name(named[name])
            .issuer_name(named["root"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False, **usage
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[name].public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["root"].public_key()), critical=False
            )
        )

        if not is_root:
            purposes = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=True)
        return builder.sign(keys["root"], hashes.SHA256())

    pem = serialization.Encoding.PEM
    chain = b"".join(certificate(name).public_bytes(pem) for name in ("signer", "root"))
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(
        keys["signer"].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key.pem"))
    monkeypatch.setenv(CERTIFICATE_VARIABLE, str(tmp_path / "chain.pem"))


def test_without_a_key_nothing_is_signed_and_the_gate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    files, findings = CREDENTIAL.produce(DRAFT)

    assert files == {}
    assert [finding.severity for finding in findings] == ["not_run"]


def test_a_credential_says_that_a_model_made_the_file(key_and_certificate: None) -> None:
    c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed (pip install 'dreamfoundry[c2pa]')")

    files, findings = CREDENTIAL.produce(DRAFT)

    assert findings == []
    assert set(files) == {"a.glb.c2pa"}
    told = json.loads(c2pa.Reader(MEDIA_TYPE, io.BytesIO(GLB), files["a.glb.c2pa"]).json())
    manifest = told["manifests"][told["active_manifest"]]
    assert manifest["title"] == "a.glb"
    (actions,) = (one for one in manifest["assertions"] if one["label"].startswith("c2pa.actions"))
    assert actions["data"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE


def test_a_credential_does_not_fit_a_changed_file(key_and_certificate: None) -> None:
    c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed (pip install 'dreamfoundry[c2pa]')")
    files, _ = sign("a.glb", GLB, SOURCE_TYPE)

    told = json.loads(c2pa.Reader(MEDIA_TYPE, io.BytesIO(GLB[:-1] + b"!"), files["a.glb.c2pa"]).json())

    assert told["validation_state"] == "Invalid"


def test_a_key_that_is_none_signs_nothing(key_and_certificate: None, tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed (pip install 'dreamfoundry[c2pa]')")
    (tmp_path / "key.pem").write_text("no key")

    files, findings = CREDENTIAL.produce(DRAFT)

    assert files == {}
    assert findings[0].severity == "not_run"
    assert "could not be signed" in findings[0].message
