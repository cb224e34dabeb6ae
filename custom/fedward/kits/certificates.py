"""Checks of a kit's certificate, private key and certificate authority (CA). Nothing is sent anywhere."""

import os
import stat
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import Kit

WARN_DAYS = 60
ASK = "ask the consortium lead for a new kit"
# Where a person's certificate names a role, `nvflare cert approve` writes these into a site's.
SITE_ROLES = {"hospital": "client", "server": "server"}


def check_certificates(kit: Kit, now: datetime | None = None) -> list[Finding]:
    """Chain, names, CA fingerprint, days left and private key; `now` is the computer's time unless given."""
    now = now or datetime.now(UTC)
    findings: list[Finding] = []
    authority = _read(kit.root_ca.name, kit, findings)
    chain = _read(kit.certificate.name, kit, findings)
    if authority:
        findings.append(_fingerprint(kit, authority[0]))
    if authority and chain:
        findings.append(_chain(chain, authority[0]))
    if chain:
        findings.append(_names(kit, chain[0]))
        findings.append(_days_left(chain[0], authority[0] if authority else None, now))
    findings += _private_key(kit, chain[0] if chain else None)
    return findings


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as network.json holds it: lower case, without colons."""
    return certificate.fingerprint(SHA256()).hex()


def common_name(name: x509.Name) -> str:
    return _attribute(name, NameOID.COMMON_NAME)


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _read(name: str, kit: Kit, findings: list[Finding]) -> list[x509.Certificate]:
    path = kit.startup / name
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        findings.append(problem("certificate", f"startup/{name} is missing", "unpack the kit again"))
    except OSError as error:
        fix = "start as the user who owns the kit, or correct the owner with chown"
        findings.append(problem("certificate", f"startup/{name} cannot be read ({error.strerror})", fix))
    except ValueError:
        findings.append(problem("certificate", f"startup/{name} holds no certificate", "unpack the kit again"))
    return []


def _fingerprint(kit: Kit, authority: x509.Certificate) -> Finding:
    found = fingerprint(authority)
    shown = ":".join(found[i : i + 2] for i in range(0, 64, 2)).upper()  # as openssl prints it
    if found != kit.network.ca_sha256:
        text = f"rootCA.pem has the fingerprint {shown}, network.json names {kit.network.ca_sha256[:16]}..."
        return problem("CA fingerprint", text, f"files of two kits are mixed: {ASK}")
    return ok("CA fingerprint", f"{shown} (compare it with what the lead tells you by another way)")


def _chain(chain: list[x509.Certificate], authority: x509.Certificate) -> Finding:
    for child, issuer in zip(chain, [*chain[1:], authority], strict=True):
        try:
            child.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            text = f"the certificate of {common_name(child.subject)} was not issued by {common_name(issuer.subject)}"
            same = common_name(child.issuer) == common_name(issuer.subject)
            why = "the network was provisioned anew" if same else "files of two networks are mixed"
            return problem("certificate chain", text, f"{why}: {ASK}")
    if not _is_authority(authority):
        return problem("certificate chain", "rootCA.pem is no certificate authority", ASK)
    return ok("certificate chain", f"issued by {common_name(authority.subject)} (rootCA.pem)")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _names(kit: Kit, certificate: x509.Certificate) -> Finding:
    """FLARE tells users from sites by the role in the subject alone; extended key usage counts only where present."""
    network, subject = kit.network, certificate.subject
    name, org = common_name(subject), _attribute(subject, NameOID.ORGANIZATION_NAME)
    role = _attribute(subject, NameOID.UNSTRUCTURED_NAME)
    role = "" if role == SITE_ROLES.get(kit.role) else role
    if kit.role == "admin":
        user = network.users.get(kit.name, {})
        known, expected_org, expected_role = kit.name in network.users, user.get("org", ""), user.get("role", "")
    elif kit.role == "server":
        known, expected_org, expected_role = True, str(network.server.get("org", org)), ""
    else:
        known, expected_org, expected_role = kit.name in network.sites, network.orgs.get(kit.name, ""), ""
    faults = []
    if not known:
        faults.append(f"{kit.name} is not in network.json")
    if name != kit.name:
        faults.append(f"the certificate is that of {name}, the kit that of {kit.name}")
    if role and not expected_role:
        faults.append(f"the certificate is a person's (role {role}), the kit a {kit.role}'s")
    elif role != expected_role and known:
        faults.append(f"the certificate has the role {role or 'none'}, network.json says {expected_role}")
    if known and org != expected_org:
        faults.append(f"the certificate's organisation is {org or 'none'}, network.json says {expected_org}")
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if kit.role == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    if not _may_serve(certificate, purpose):
        faults.append(f"the certificate's extended key usage does not allow a {kit.role}")
    if kit.role == "server" and (host := str(network.server["host"])) not in (names := host_names(certificate)):
        faults.append(f"sites dial {host}, the certificate is for {', '.join(names) or 'no host'}")
    if faults:
        return problem("certificate names", "; ".join(faults), ASK)
    what = f"{name} of {org}" + (f", {role}" if role else "")
    return ok("certificate names", what + (f", for {', '.join(host_names(certificate))}" * (kit.role == "server")))


def _may_serve(certificate: x509.Certificate, purpose: x509.ObjectIdentifier) -> bool:
    try:
        return purpose in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True


def host_names(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that a server's certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _days_left(certificate: x509.Certificate, authority: x509.Certificate | None, now: datetime) -> Finding:
    for what, one in (("certificate", certificate), ("certificate authority", authority)):
        if one is None:
            continue
        if now < one.not_valid_before_utc:
            start = f"{one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            text = f"the {what} is valid from {start}; here it is {now:%Y-%m-%d %H:%M}"
            return problem("days left", text, "set this computer's clock (timedatectl); if it is right, " + ASK)
        if now > one.not_valid_after_utc:
            text = f"the {what} expired on {one.not_valid_after_utc:%Y-%m-%d}"
            return problem("days left", text, f"{ASK}; only if this computer's date is wrong, set it")
    end = min(one.not_valid_after_utc for one in (certificate, authority) if one is not None)
    days = (end - now) // timedelta(days=1)
    if days < WARN_DAYS:
        return warning("days left", f"{days}: valid until {end:%Y-%m-%d}", "have the certificate renewed in time")
    return ok("days left", f"{days}: valid until {end:%Y-%m-%d}")


def _private_key(kit: Kit, certificate: x509.Certificate | None) -> list[Finding]:
    path, name = kit.private_key, f"startup/{kit.private_key.name}"
    try:
        mode, data = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
        key = load_pem_private_key(data, password=None)
    except FileNotFoundError:
        fix = "unpack the kit again; where you made the key yourself, put it there"
        return [problem("private key", f"{name} is missing", fix)]
    except OSError as error:
        fix = "start as the user who owns the kit, or correct the owner with chown"
        return [problem("private key", f"{name} cannot be read by user {os.getuid()} ({error.strerror})", fix)]
    except (ValueError, TypeError):
        return [problem("private key", f"{name} holds no private key that can be read without a password", ASK)]
    findings = []
    if mode & 0o077:
        text = f"{name} can be read or changed by others (mode {mode:04o})"
        findings.append(problem("private key", text, f"chmod 600 {path}"))
    kind = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate and key.public_key().public_bytes(*kind) != certificate.public_key().public_bytes(*kind):
        text = f"{name} does not belong to startup/{kit.certificate.name}"
        findings.append(problem("private key", text, f"files of two kits are mixed: {ASK}"))
    return findings or [ok("private key", "belongs to the certificate; only its owner may read it")]
