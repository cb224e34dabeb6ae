"""Certificates of a kit: the right ones pass, every wrong one is a problem that says what is wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedward.kits.certificates import check_certificates
from fedward.kits.kit import open_kit


def found(kit, level, now=None):
    return {one.name: one.text for one in check_certificates(open_kit(kit), now) if one.level == level}


@pytest.mark.parametrize("name", ["localhost", "hospital-01", "lead@consortium.example"])
def test_kits_as_provisioned_have_no_fault(kits, name):
    findings = check_certificates(open_kit(kits / name))
    assert {one.level for one in findings} == {"ok"}
    assert len(findings) == 5


HOSPITAL = {"name": "hospital-01", "org": "hospital_01"}


@pytest.mark.parametrize(
    ("values", "check", "text"),
    [
        (
            {**HOSPITAL, "name": "hospital-02"},
            "certificate names",
            "is that of hospital-02, the kit that of hospital-01",
        ),
        ({**HOSPITAL, "org": "consortium"}, "certificate names", "organisation is consortium"),
        ({**HOSPITAL, "role": "lead"}, "certificate names", "is a person's"),
        ({**HOSPITAL, "usage": ExtendedKeyUsageOID.SERVER_AUTH}, "certificate names", "does not allow a hospital"),
        ({**HOSPITAL, "first_day": -30, "last_day": -1}, "days left", "expired on"),
        ({**HOSPITAL, "first_day": 1}, "days left", "is valid from"),
    ],
)
def test_a_wrong_certificate_of_the_right_authority(kits, authority, issue, values, check, text):
    issue(kits / "hospital-01", authority, **values)
    problems = found(kits / "hospital-01", "problem")
    assert list(problems) == [check]
    assert text in problems[check]


def test_days_left_are_a_warning_under_sixty(kits, authority, issue):
    issue(kits / "hospital-01", authority, **HOSPITAL, last_day=59.5)
    assert found(kits / "hospital-01", "problem") == {}
    assert found(kits / "hospital-01", "warning")["days left"].startswith("59")
    issue(kits / "hospital-01", authority, **HOSPITAL, last_day=60.5)
    assert found(kits / "hospital-01", "warning") == {}


def test_an_expired_authority_counts_too(kits):
    problems = found(kits / "hospital-01", "problem", datetime.now(UTC) + timedelta(days=4000))
    assert "certificate expired" in problems["days left"]


def test_a_user_and_a_server_with_certificates_of_another_kind(kits, authority, issue):
    issue(kits / "lead@consortium.example", authority, "lead@consortium.example", "consortium", role="project_admin")
    assert "role project_admin" in found(kits / "lead@consortium.example", "problem")["certificate names"]
    issue(kits / "lead@consortium.example", authority, "lead@consortium.example", "consortium")
    assert "role none" in found(kits / "lead@consortium.example", "problem")["certificate names"]
    issue(kits / "localhost", authority, "localhost", "consortium", hosts=["other.example"])
    assert "sites dial localhost" in found(kits / "localhost", "problem")["certificate names"]


@pytest.mark.parametrize(("name", "why"), [("fedward", "provisioned anew"), ("other", "two networks are mixed")])
def test_a_certificate_of_another_authority(kits, make_authority, issue, name, why):
    issue(kits / "hospital-01", make_authority(name), **HOSPITAL)
    (fault,) = [one for one in check_certificates(open_kit(kits / "hospital-01")) if one.level == "problem"]
    assert fault.name == "certificate chain"
    assert why in fault.fix


def test_another_authority_in_the_kit_is_seen_by_its_fingerprint(kits, make_authority, issue):
    other = make_authority("fedward")
    issue(kits / "hospital-01", other, **HOSPITAL)
    (kits / "hospital-01/startup/rootCA.pem").write_bytes(other.certificate.public_bytes(Encoding.PEM))
    assert list(found(kits / "hospital-01", "problem")) == ["CA fingerprint"]


def test_the_private_key_is_the_owners_and_belongs_to_the_certificate(kits):
    kit, key = kits / "hospital-01", kits / "hospital-01/startup/client.key"
    key.chmod(0o640)
    (fault,) = [one for one in check_certificates(open_kit(kit)) if one.level == "problem"]
    assert fault.fix == f"chmod 600 {key}"
    key.write_bytes((kits / "hospital-02/startup/client.key").read_bytes())
    key.chmod(0o600)
    assert "does not belong to startup/client.crt" in found(kit, "problem")["private key"]
    key.write_text("no key")
    assert "holds no private key" in found(kit, "problem")["private key"]
    key.unlink()
    assert "missing" in found(kit, "problem")["private key"]


def test_files_that_are_missing_or_damaged(kits):
    kit = kits / "hospital-01"
    (kit / "startup/client.crt").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    assert found(kit, "problem") == {"certificate": "startup/client.crt holds no certificate"}
    (kit / "startup/client.crt").unlink()
    assert "missing" in found(kit, "problem")["certificate"]
