"""From this machine to the server: name, port, TLS with the kit's own key. One finding a step, the first fault ends it.

FLARE's transport is not used: a plain TLS client shows at which step a connection fails, and who answers instead.
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509

from fedward.kits.certificates import common_name, host_names
from fedward.kits.finding import Finding, ok, problem, warning
from fedward.kits.kit import Kit

TIMEOUT = 10.0  # seconds for each step
PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")  # what gRPC reads, in this order
FIREWALL = "let this machine connect to {where} (outgoing TCP); nothing has to come in"


def check_connection(kit: Kit, starting: bool = False, timeout: float = TIMEOUT) -> list[Finding]:
    """Name resolution, TCP and mutual TLS with the server.

    While `starting`, a server that cannot be reached is a warning, for it is tried again; a server that answers with
    another certificate, or refuses this kit's, stays a problem.
    """
    findings = [_proxy(kit)]
    unreachable = warning if starting else problem
    try:
        found = socket.getaddrinfo(kit.host, kit.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        fix = f"ask IT for a DNS entry, or add a line for {kit.host} to /etc/hosts"
        text = f"{kit.host} has no address here ({getattr(error, 'strerror', None) or error})"
        return [*findings, unreachable("name resolution", text, fix)]
    addresses = sorted({str(entry[4][0]) for entry in found})
    findings.append(_resolution(kit, addresses))
    where = f"{kit.host}:{kit.port}"
    try:
        with socket.create_connection((kit.host, kit.port), timeout):
            findings.append(ok("server reachable", f"{where} answers"))
    except TimeoutError:
        text = f"{where} does not answer within {timeout:g} s: a firewall drops the connection, or the server is off"
        return [*findings, unreachable("server reachable", text, FIREWALL.format(where=where))]
    except ConnectionRefusedError:
        text = f"{where} refuses the connection: the server is not running, or listens on another port"
        fix = f"ask the consortium lead whether the server runs; {FIREWALL.format(where=where)}"
        return [*findings, unreachable("server reachable", text, fix)]
    except OSError as error:
        text = f"{where} cannot be reached ({error.strerror or error})"
        return [*findings, unreachable("server reachable", text, FIREWALL.format(where=where))]
    return [*findings, _handshake(kit, timeout, unreachable is warning)]


def _proxy(kit: Kit) -> Finding:
    if kit.scheme != "grpc":
        return ok("proxy", f"{kit.scheme} uses none")
    used = next((name for name in PROXY_VARIABLES if os.environ.get(name)), None)
    if not used:
        return ok("proxy", "none set")
    exempt = (os.environ.get("no_proxy") or "").split(",")
    if any(part.strip() and kit.host.endswith(part.strip().lstrip("*")) for part in exempt):
        return ok("proxy", f"{used} is set, {kit.host} is exempt (no_proxy)")
    text = f"{used} is set: FLARE will connect through it, this check connects directly"
    fix = f"add to local/environment.sh: export no_proxy={kit.host}, unless the way leads through the proxy"
    return warning("proxy", text, fix)


def _resolution(kit: Kit, addresses: list[str]) -> Finding:
    text = f"{kit.host} is {', '.join(addresses)}"
    loopback = all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
    if loopback and kit.host != "localhost" and not kit.host.startswith("127."):
        fix = f"correct {kit.host} in /etc/hosts or DNS, unless the server runs on this machine"
        return warning("name resolution", f"{text}: this machine itself", fix)
    return ok("name resolution", text)


@contextmanager
def _secured(kit: Kit, context: ssl.SSLContext, timeout: float) -> Iterator[ssl.SSLSocket]:
    """A TLS connection with the server, closed at the end."""
    with (
        socket.create_connection((kit.host, kit.port), timeout) as plain,
        context.wrap_socket(plain, server_hostname=kit.host) as secure,
    ):
        yield secure


def _handshake(kit: Kit, timeout: float, starting: bool) -> Finding:
    name = "TLS handshake"
    context = _context(kit, ssl.CERT_REQUIRED)
    if isinstance(context, Finding):
        return context
    try:
        with _secured(kit, context, timeout) as secure:
            answer = secure.getpeercert(binary_form=True) or b""
            # With TLS 1.3 a refusal of our certificate comes after the handshake, instead of the first bytes.
            secure.settimeout(3.0 if kit.scheme == "grpc" else 1.0)  # gRPC servers speak first, others may not
            try:
                refused = not secure.recv(1)
            except TimeoutError:
                refused = False  # the server waits for us to speak
            if refused:
                return _refused(kit, "it closed the connection")
            return _server_names(kit, x509.load_der_x509_certificate(answer), str(secure.version()))
    except ssl.SSLCertVerificationError as error:
        return _not_our_server(kit, error, timeout)
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return _refused(kit, (error.reason or "").lower().replace("_", " "))
        text = f"{kit.host}:{kit.port} does not speak TLS ({(error.reason or str(error)).lower().replace('_', ' ')})"
        return problem(name, text, "another program answers at this port, or a device on the way changes the traffic")
    except TimeoutError:
        text = f"{kit.host}:{kit.port} takes the connection and then says nothing for {timeout:g} s"
        fix = "another program answers at this port, the server hangs, or a firewall inspects the traffic"
        return warning(name, text, fix) if starting else problem(name, text, fix)
    except ConnectionError as error:
        return _refused(kit, str(error.strerror or error).lower())
    except OSError as error:
        text = f"the connection to {kit.host}:{kit.port} failed ({error.strerror or error})"
        return problem(name, text, "try again; if it stays, ask IT whether a device on the way cuts it")


def _context(kit: Kit, mode: ssl.VerifyMode) -> ssl.SSLContext | Finding:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # compared below, to say what differs
    context.verify_mode = mode
    if kit.scheme == "grpc":
        context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(kit.root_ca)
        context.load_cert_chain(kit.certificate, kit.private_key, password="")  # a prompt would hang a service
    except (OSError, ValueError):
        fix = "put right what the lines on certificate and private key say"
        return problem("TLS handshake", "not tried: the kit's certificates cannot be used", fix)
    return context


def _server_names(kit: Kit, certificate: x509.Certificate, version: str) -> Finding:
    name, names = common_name(certificate.subject), host_names(certificate)
    if name != str(kit.network.server["name"]):
        text = f"{kit.host}:{kit.port} is {name}, not {kit.network.server['name']}"
        return problem("TLS handshake", text, "another participant of the network answers there: ask the lead")
    if kit.scheme == "grpc" and kit.host.lower() not in [one.lower() for one in names]:
        text = f"the server's certificate is for {', '.join(names)}, this kit dials {kit.host}"
        fix = "the lead adds the name as default_host or host_names of the server and provisions its kit again"
        return problem("TLS handshake", text, fix)
    return ok("TLS handshake", f"{name} and this kit accept each other ({version})")


def _refused(kit: Kit, how: str) -> Finding:
    text = f"{kit.host}:{kit.port} refuses this kit's certificate ({how})"
    fix = "ask the lead whether server and kit come from the same provisioning, and whether the kit was revoked"
    return problem("TLS handshake", text, fix)


def _not_our_server(kit: Kit, error: ssl.SSLCertVerificationError, timeout: float) -> Finding:
    """Say who answered: the certificate is fetched once more, without trusting it."""
    where, why = f"{kit.host}:{kit.port}", error.verify_message or "not verified"
    certificate = _fetch(kit, timeout)
    if certificate is None:
        text = f"{where} has a certificate that rootCA.pem does not vouch for ({why})"
        return problem("TLS handshake", text, "ask the lead for host and port, and IT whether a proxy inspects TLS")
    issuer = common_name(certificate.issuer) or certificate.issuer.rfc4514_string()
    if "expired" in why or "not yet valid" in why:
        text = f"the server's certificate is {why.removeprefix('certificate ').removeprefix('has ')}"
        dates = f"({certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d})"
        return problem("TLS handshake", f"{text} {dates}", "check this computer's date; if it is right, tell the lead")
    if issuer == kit.network.name:
        text = f"{where} belongs to another authority of the same name ({issuer}): the network was provisioned anew"
        return problem("TLS handshake", text, "ask the consortium lead for a kit of the network that now runs")
    text = f"{where} answers with a certificate issued by {issuer!r}, not by {kit.network.name!r} of this kit"
    fix = (
        f"probably a proxy that inspects TLS: IT exempts {where} from inspection. "
        "Otherwise host or port lead to another server"
    )
    return problem("TLS handshake", text, fix)


def _fetch(kit: Kit, timeout: float) -> x509.Certificate | None:
    context = _context(kit, ssl.CERT_NONE)
    if isinstance(context, Finding):
        return None
    try:
        with _secured(kit, context, timeout) as secure:
            data = secure.getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(data) if data else None
    except (OSError, ValueError):
        return None
