"""Opening a kit: what it says about itself, and what people give instead of one."""

import json

import pytest

from fedward.errors import FedwardError, UsageError
from fedward.kits.kit import open_kit

NETWORK = {
    "name": "net",
    "server": {
        "name": "server.example.org",
        "host": "server.example.org",
        "port": 8002,
        "admin_port": 8002,
        "org": "c",
    },
    "hospitals": ["hospital-01", "hospital-02"],
    "coordinator": "coordinator",
    "orgs": {"hospital-01": "one", "hospital-02": "two", "coordinator": "c"},
    "studies": {"brain": {"sites": ["hospital-01"], "admins": ["lead@c.org"]}},
    "users": {"lead@c.org": {"role": "lead", "org": "c"}},
    "fedward": "0.1.0",
    "nvflare": "2.9.0",
    "ca_sha256": "AB:CD",
}
CLIENT = {
    "servers": [{"service": {"target": "server.example.org:8002", "scheme": "grpc"}}],
    "client": {"fqsn": "hospital-01"},
}


@pytest.fixture
def hospital(tmp_path):
    return write_kit(tmp_path / "kits" / "hospital-01", "fed_client.json", CLIENT)


def write_kit(root, name, values):
    for folder in ("startup", "local", "transfer"):
        (root / folder).mkdir(parents=True)
    (root / "startup" / name).write_text(json.dumps(values))
    (root / "local" / "network.json").write_text(json.dumps(NETWORK))
    return root


def test_a_hospital_kit_says_who_it_is_and_where_the_server_is(hospital):
    kit = open_kit(hospital)
    assert (kit.role, kit.name, kit.host, kit.port) == ("hospital", "hospital-01", "server.example.org", 8002)
    assert kit.certificate == hospital / "startup" / "client.crt"
    assert kit.private_key == hospital / "startup" / "client.key"
    assert kit.network.sites == ("hospital-01", "hospital-02", "coordinator")
    assert kit.network.ca_sha256 == "abcd"


def test_a_server_and_an_admin_kit(tmp_path):
    server = write_kit(tmp_path / "server", "fed_server.json", {"servers": CLIENT["servers"]})
    kit = open_kit(server)
    assert (kit.role, kit.name, kit.private_key.name) == ("server", "server.example.org", "server.key")
    admin = {"username": "lead@c.org", "host": "server.example.org", "port": 8003, "scheme": "tcp"}
    kit = open_kit(write_kit(tmp_path / "admin", "fed_admin.json", {"admin": admin}))
    assert (kit.role, kit.name, kit.port, kit.scheme) == ("admin", "lead@c.org", 8003, "tcp")


def test_what_people_give_instead_of_a_kit(hospital, tmp_path):
    archive = tmp_path / "hospital-01.zip"
    archive.write_bytes(b"PK")
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        tmp_path / "nowhere": "does not exist",
        archive: "unpack it",
        hospital.parent: f"give one of them, such as {hospital}",
        hospital / "startup": f"give the folder above, {hospital}",
        hospital / "local": f"give the folder above, {hospital}",
        empty: "no startup kit",
    }
    for path, expected in cases.items():
        with pytest.raises(UsageError, match=expected.replace(".", r"\.")):
            open_kit(path)
    (hospital / "startup" / "fed_server.json").write_text("{}")
    with pytest.raises(UsageError, match="more than one kit"):
        open_kit(hospital)


@pytest.mark.parametrize("values", [{}, [], {"servers": []}, {"client": {}, "servers": [{"service": {"target": "x"}}]}])
def test_a_damaged_startup_file_is_named(hospital, values):
    (hospital / "startup" / "fed_client.json").write_text(json.dumps(values))
    with pytest.raises(FedwardError, match=r"fed_client\.json is damaged .* unpack the kit again"):
        open_kit(hospital)


def test_a_kit_without_or_with_damaged_facts_of_the_network(hospital):
    path = hospital / "local" / "network.json"
    path.write_text(json.dumps({**NETWORK, "server": {"name": "x"}}))
    with pytest.raises(FedwardError, match=r"network\.json is damaged \(it lacks 'host'\)"):
        open_kit(hospital)
    path.write_text("[]")
    with pytest.raises(FedwardError, match="damaged"):
        open_kit(hospital)
    path.write_text("{")
    with pytest.raises(FedwardError, match="not valid JSON"):
        open_kit(hospital)
    path.unlink()
    with pytest.raises(UsageError, match="KitBuilder"):
        open_kit(hospital)
