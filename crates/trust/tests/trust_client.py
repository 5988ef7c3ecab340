"""Has the example client follow repositories that python-tuf signs, honest and not.

Usage: python trust_client.py CLIENT

Each case is a function; it says what a TUF client has to do, by the specification's section where it has one.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

CLIENT = sys.argv[1]
NOW = datetime.now(timezone.utc).replace(microsecond=0)
FUTURE = NOW + timedelta(days=30)
PAST = NOW - timedelta(days=2)
TOP = ["root", "timestamp", "snapshot", "targets"]


class Repository:
    """Publishers and server in one, with every version that was ever signed."""

    def __init__(self, consistent=True, make=CryptoSigner.generate_ed25519):
        self.md = {
            "root": Metadata(Root(expires=FUTURE, consistent_snapshot=consistent)),
            "targets": Metadata(Targets(expires=FUTURE)),
            "snapshot": Metadata(Snapshot(expires=FUTURE)),
            "timestamp": Metadata(Timestamp(expires=FUTURE)),
        }
        self.signers, self.files, self.data, self.asked = {}, {}, {}, []
        self.hashes = False
        for role in TOP:
            self.give_key(role, make())
        for role in ["root", "targets", "snapshot", "timestamp"]:
            self.sign(role)

    def __getattr__(self, role):
        return self.md[role].signed

    def give_key(self, role, signer):
        self.md["root"].signed.add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)

    def new_keys(self, role):
        self.md["root"].signed.roles[role].keyids.clear()
        self.signers[role] = []
        self.give_key(role, CryptoSigner.generate_ed25519())

    def sign(self, role):
        """Signs as it is, and names it in the file above."""
        md = self.md[role]
        md.signatures.clear()
        for signer in self.signers[role]:
            md.sign(signer, append=True)
        data = md.to_bytes()
        version = md.signed.version
        self.files[f"{version}.{quote(role, '')}.json"] = data
        self.files[f"{quote(role, '')}.json"] = data
        pin = MetaFile.from_data(version, data, ["sha256"]) if self.hashes else MetaFile(version)
        if role == "snapshot":
            self.md["timestamp"].signed.snapshot_meta = pin
        elif role not in TOP or role == "targets":
            self.md["snapshot"].signed.meta[f"{role}.json"] = pin

    def publish(self, *roles):
        for role in roles:
            self.md[role].signed.version += 1
            self.sign(role)

    def delegate(self, by, role, paths, keys=None, threshold=1, terminating=False, expires=FUTURE):
        signed = self.md[by].signed
        if signed.delegations is None:
            signed.delegations = Delegations({}, {})
        signed.delegations.roles[role] = DelegatedRole(role, [], threshold, terminating, paths)
        if role not in self.md:
            self.md[role] = Metadata(Targets(expires=expires))
            self.signers[role] = [CryptoSigner.generate_ed25519()]
        for signer in self.signers[role] if keys is None else keys:
            signed.add_key(signer.public_key, role)

    def add_target(self, role, path, data):
        self.md[role].signed.targets[path] = TargetFile.from_data(path, data, ["sha256"])
        self.data[path] = data

    def get(self, path):
        kind, _, name = path.partition("/")
        if kind == "metadata":
            self.asked.append(name)
            return self.files.get(name)
        self.asked.append(path)
        name = unquote(name)
        if self.md["root"].signed.consistent_snapshot:
            folder, sep, file = name.rpartition("/")
            name = folder + sep + file.partition(".")[2]
        return self.data.get(name)


REPOSITORIES = {}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        number, _, path = self.path.lstrip("/").partition("/")
        data = REPOSITORIES[number].get(path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        endless = data == "endless"
        if not endless:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            while endless:
                self.wfile.write(b" " * 65536)
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_):
        pass


SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
SERVER.daemon_threads = True
threading.Thread(target=SERVER.serve_forever, daemon=True).start()


class Client:
    """One client with folders of its own, which trusts the repository's first root."""

    def __init__(self, repository, root=None):
        number = str(len(REPOSITORIES))
        REPOSITORIES[number] = repository
        self.repository = repository
        self.url = f"http://127.0.0.1:{SERVER.server_address[1]}/{number}"
        self.folder = tempfile.TemporaryDirectory()
        self.metadata = os.path.join(self.folder.name, "metadata")
        self.out = os.path.join(self.folder.name, "targets")
        os.mkdir(self.metadata)
        os.mkdir(self.out)
        first = os.path.join(self.folder.name, "root.json")
        with open(first, "wb") as file:
            file.write(root or repository.files["1.root.json"])
        self.init = self.run("init", first)

    def run(self, *arguments):
        command = [CLIENT, "--metadata-dir", self.metadata, *arguments]
        done = subprocess.run(command, capture_output=True, timeout=60)
        self.said = done.stderr.decode()
        assert done.returncode in (0, 1), (command, done)
        return done.returncode == 0

    def refresh(self):
        self.repository.asked.clear()
        return self.run("--metadata-url", f"{self.url}/metadata", "refresh")

    def download(self, *targets):
        self.repository.asked.clear()
        names = [argument for name in targets for argument in ("--target-name", name)]
        return self.run(
            "--metadata-url", f"{self.url}/metadata/", *names,
            "--target-base-url", f"{self.url}/targets/", "--target-dir", self.out, "download",
        )

    def trusted(self):
        """Versions by role; every file in the folder must be metadata that python-tuf reads."""
        found = {}
        for name in os.listdir(self.metadata):
            md = Metadata.from_file(os.path.join(self.metadata, name))
            found[unquote(name.removesuffix(".json"))] = md.signed.version
        return found

    def versions(self):
        trusted = self.trusted()
        return tuple(trusted.get(role) for role in TOP)

    def downloaded(self):
        found = []
        for folder, _, names in os.walk(self.out):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found.append(file.read())
        return sorted(found)


def follows_a_repository_and_asks_for_what_it_needs():
    for make in [CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa, CryptoSigner.generate_rsa]:
        client = Client(Repository(make=make))
        assert client.init and client.refresh(), client.said
        asked = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
        assert client.repository.asked == asked
        assert client.versions() == (1, 1, 1, 1)
        assert client.refresh() and client.repository.asked == asked[:2]


def follows_a_repository_without_consistent_snapshots():
    repository = Repository(consistent=False)
    repository.add_target("targets", "folder/file", b"text")
    repository.publish("targets", "snapshot", "timestamp")
    client = Client(repository)
    assert client.download("folder/file"), client.said
    asked = ["2.root.json", "timestamp.json", "snapshot.json", "targets.json", "targets/folder/file"]
    assert repository.asked == asked
    assert client.downloaded() == [b"text"]


def needs_a_first_root_that_is_sound():
    repository = Repository()
    whole = json.loads(repository.files["1.root.json"])
    nameless, unsigned = json.loads(json.dumps(whole)), json.loads(json.dumps(whole))
    del nameless["signed"]["version"]
    unsigned["signatures"] = []
    for root in [nameless, unsigned]:
        client = Client(repository, json.dumps(root).encode())
        assert not client.init
        assert not client.refresh() and repository.asked == []
        assert client.trusted() == {}


def goes_on_with_fields_that_it_does_not_know():
    repository = Repository()
    client = Client(repository)
    repository.root.unrecognized_fields["colour"] = {"brown": [1, None, "ü"]}
    repository.publish("root")
    assert client.refresh() and client.versions() == (2, 1, 1, 1)


def keeps_the_timestamp_where_the_snapshot_is_wrong():
    """5.4.5 comes before 5.5."""
    repository = Repository()
    repository.md["snapshot"].signed.version = 2
    repository.files["1.snapshot.json"] = repository.md["snapshot"].sign(repository.signers["snapshot"][0]) and repository.md["snapshot"].to_bytes()
    client = Client(repository)
    assert not client.refresh()
    assert client.trusted() == {"root": 1, "timestamp": 1}


def ignores_a_timestamp_of_the_same_version():
    """5.4.3.1"""
    repository = Repository()
    client = Client(repository)
    assert client.refresh()
    before = open(os.path.join(client.metadata, "timestamp.json"), "rb").read()
    repository.timestamp.snapshot_meta.version = 100
    repository.sign("timestamp")
    assert client.refresh(), client.said
    assert open(os.path.join(client.metadata, "timestamp.json"), "rb").read() == before


def refuses_older_files():
    """5.4.3, 5.5.4"""
    for hashes in [False, True]:
        repository = Repository()
        repository.hashes = hashes
        repository.publish("targets", "snapshot", "timestamp")
        client = Client(repository)
        assert client.refresh() and client.versions() == (1, 2, 2, 2)
        new = dict(repository.files)
        # An older timestamp.
        repository.timestamp.version = 1
        repository.sign("timestamp")
        assert not client.refresh() and "rollback" in client.said
        # A newer timestamp with an older snapshot.
        repository.snapshot.version = 1
        repository.sign("snapshot")
        repository.timestamp.version = 3
        repository.sign("timestamp")
        assert not client.refresh() and "rollback" in client.said
        assert client.versions() == (1, 2, 2, 2) and repository.asked[-1] == "timestamp.json"
        # A newer snapshot with older targets; what was seen is not forgotten with the process.
        repository.files.update(new)
        repository.targets.version = 1
        repository.sign("targets")
        repository.snapshot.version = 3
        repository.sign("snapshot")
        repository.sign("timestamp")
        for _ in range(2):
            assert not client.refresh() and "rollback" in client.said
            assert client.versions() == (1, 3, 2, 2)


def refuses_what_does_not_fit_together():
    """5.5.2, 5.5.5, 5.6.2, 5.6.4"""
    repository = Repository()
    repository.hashes = True
    client = Client(repository)
    assert client.refresh()
    repository.publish("targets", "snapshot", "timestamp")
    repository.targets.expires = FUTURE + timedelta(days=1)
    repository.md["targets"].sign(repository.signers["targets"][0])
    repository.files["2.targets.json"] = repository.md["targets"].to_bytes()
    assert not client.refresh() and client.versions() == (1, 2, 2, 1)
    # A snapshot that lacks what the one before it named.
    del repository.snapshot.meta["targets.json"]
    repository.publish("snapshot", "timestamp")
    assert not client.refresh() and client.versions() == (1, 3, 2, 1)


def recovers_from_versions_that_ran_up():
    """5.3.11"""
    for role in ["snapshot", "timestamp"]:
        repository = Repository()
        client = Client(repository)
        for file in ["timestamp", "snapshot", "targets"]:
            repository.md[file].signed.version = 99999
        for file in ["targets", "snapshot", "timestamp"]:
            repository.sign(file)
        assert client.refresh() and client.versions() == (1, 99999, 99999, 99999)
        repository.new_keys("timestamp")
        if role == "snapshot":
            repository.new_keys("snapshot")
            repository.targets.version = 1
            repository.sign("targets")
        repository.publish("root")
        repository.snapshot.version = repository.timestamp.version = 1
        repository.sign("snapshot")
        repository.sign("timestamp")
        assert client.refresh(), client.said
        assert client.versions() == (2, 1, 1, 1 if role == "snapshot" else 99999)


def follows_roots_signed_by_old_keys_and_new():
    """5.3.4: keys, threshold and signers of each version; the last may be wrong."""
    keys = [CryptoSigner.generate_ed25519() for _ in range(10)]
    cases = [
        ([([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])], 3),
        ([([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4])], 2),
        ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])], 2),
        ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]), ([5, 6, 7, 8, 9], 3, [5, 6, 7])], 3),
        ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])], 2),
        ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])], 3),
        # Too few, in each of the ways there are.
        ([([1], 1, [1]), ([2], 1, [2, 3, 4])], 1),
        ([([1], 1, [1]), ([2], 1, [1, 3, 4])], 1),
        ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])], 1),
        ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])], 1),
        ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])], 1),
        ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])], 1),
    ]
    for roots, last in cases:
        repository = Repository()
        repository.root.version = 0
        for holders, threshold, signers in roots:
            repository.root.roles["root"].keyids.clear()
            repository.root.roles["root"].threshold = threshold
            for key in holders:
                repository.root.add_key(keys[key].public_key, "root")
            repository.signers["root"] = [keys[key] for key in signers]
            repository.publish("root")
        client = Client(repository)
        assert client.refresh() == (last == len(roots)), (roots, client.said)
        assert client.trusted()["root"] == last
        assert last == len(roots) or "signatures" in client.said, client.said


def keeps_a_root_that_expired_and_nothing_after_it():
    """5.3.10"""
    repository = Repository()
    client = Client(repository)
    assert client.refresh()
    repository.root.expires = PAST
    repository.publish("root")
    repository.publish("targets", "snapshot", "timestamp")
    assert not client.refresh() and "freeze" in client.said
    assert client.versions() == (2, 1, 1, 1)
    repository.root.expires = FUTURE
    repository.publish("root")
    assert client.refresh() and client.versions() == (3, 2, 2, 2)


def keeps_nothing_that_has_expired():
    """5.4.4, 5.5.6, 5.6.5"""
    for role, kept in [("timestamp", (1, 1, 1, 1)), ("snapshot", (1, 2, 1, 1)), ("targets", (1, 2, 2, 1))]:
        repository = Repository()
        client = Client(repository)
        assert client.refresh()
        repository.md[role].signed.expires = PAST
        repository.publish("targets", "snapshot", "timestamp")
        assert not client.refresh() and "freeze" in client.said
        assert client.versions() == kept, role


def counts_a_key_once():
    repository = Repository()
    client = Client(repository)
    repository.root.roles["snapshot"].threshold = 2
    repository.publish("root")
    repository.publish("snapshot", "timestamp")
    assert not client.refresh()
    # One of two keys signs twice.
    repository.root.add_key(CryptoSigner.generate_ed25519().public_key, "snapshot")
    repository.publish("root")
    file = json.loads(repository.files["2.snapshot.json"])
    file["signatures"].append(file["signatures"][0])
    repository.files["2.snapshot.json"] = json.dumps(file).encode()
    assert not client.refresh() and client.trusted()["timestamp"] == 2
    assert "snapshot" not in client.trusted()


def searches_delegated_roles_in_order():
    """5.6.7.2: pre-order, depth first; each is a list of (by, role, paths, terminating)."""
    every, python = ["*"], ["*.py"]
    graphs = [
        ([("targets", "A", every, 0)], "A"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("A", "C", every, 0), ("A", "D", every, 0)], "ACDB"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("A", "C", every, 0), ("C", "D", every, 0)], "ACDB"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("A", "C", every, 1), ("A", "D", every, 0)], "AC"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("A", "C", every, 1), ("C", "D", every, 0)], "ACD"),
        ([("targets", "A", python, 0), ("targets", "B", every, 0), ("A", "C", every, 0)], "B"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("B", "C", every, 0), ("C", "D", every, 0), ("D", "B", every, 0)], "ABCD"),
        ([("targets", "A", every, 0), ("targets", "B", every, 0), ("B", "C", every, 0), ("A", "C", python, 0)], "ABC"),
    ]
    for delegations, order in graphs:
        repository = Repository()
        for by, role, paths, terminating in delegations:
            repository.delegate(by, role, paths, terminating=bool(terminating))
        for role in sorted({role for _, role, _, _ in delegations}):
            repository.sign(role)
        repository.publish("targets", "snapshot", "timestamp")
        client = Client(repository)
        assert not client.download("nowhere") and "no role" in client.said
        assert repository.asked[4:] == [f"1.{role}.json" for role in order], delegations
        # What was verified is kept, and not fetched again.
        assert not client.download("nowhere") and len(repository.asked) == 2


def takes_targets_from_those_who_may_speak_for_them():
    repository = Repository()
    repository.delegate("targets", "A", ["*.md"])
    repository.delegate("targets", "B", ["releases/*/*"])
    repository.delegate("B", "C", ["releases/x/*"])
    repository.add_target("A", "README.md", b"by A")
    repository.add_target("C", "releases/x/1", b"by C")
    repository.add_target("C", "releases/y/1", b"not for C to say")
    for role in "ABC":
        repository.sign(role)
    repository.publish("targets", "snapshot", "timestamp")
    client = Client(repository)
    assert client.download("README.md", "releases/x/1"), client.said
    assert client.downloaded() == [b"by A", b"by C"]
    assert not client.download("releases/y/1")
    assert client.downloaded() == [b"by A", b"by C"]
    # A role that is signed by nobody who may.
    repository.signers["A"] = [CryptoSigner.generate_ed25519()]
    repository.publish("A", "snapshot", "timestamp")
    assert not client.download("README.md") and client.trusted()["A"] == 1
    # A role whose life is over.
    repository.md["C"].signed.expires = PAST
    repository.publish("C", "snapshot", "timestamp")
    assert not client.download("releases/x/1") and client.trusted()["C"] == 1


def takes_a_teams_releases_for_its_models_alone():
    """The delegations that `otter trust delegate` writes, signed by python-tuf."""
    repository = Repository()
    repository.delegate("targets", "team-a", ["rpi4/*/*", "rpi5/*/*"], terminating=True)
    repository.delegate("targets", "team-b", ["gateway/*/*"], terminating=True)
    repository.delegate("targets", "all", ["*/*/*"])
    for name in ["rpi4/r2/ab", "rpi5/r2/ab", "gateway/r2/ab"]:
        repository.add_target("team-a", name, b"by team-a")
    repository.add_target("all", "gateway/r2/ab", b"behind one that ends the search")
    for role in ["team-a", "team-b", "all"]:
        repository.sign(role)
    repository.publish("targets", "snapshot", "timestamp")
    client = Client(repository)
    assert client.download("rpi4/r2/ab", "rpi5/r2/ab"), client.said
    assert client.downloaded() == [b"by team-a", b"by team-a"]
    assert not client.download("gateway/r2/ab") and "no role" in client.said
    # Taken back, it is found no more.
    del repository.targets.delegations.roles["team-a"]
    repository.publish("targets", "snapshot", "timestamp")
    assert not Client(repository).download("rpi4/r2/ab")


def writes_roles_names_so_that_they_are_safe():
    for role in ["?", "#", "/role", "../role", "ü"]:
        repository = Repository()
        repository.delegate("targets", role, ["*"])
        repository.sign(role)
        repository.publish("targets", "snapshot", "timestamp")
        client = Client(repository)
        assert not client.download("nowhere")
        assert f"1.{quote(role, '')}.json" in repository.asked
        assert len(client.trusted()) == 5 and client.trusted()[role] == 1


def downloads_what_was_signed_and_nothing_else():
    repository = Repository()
    repository.add_target("targets", "one", b"the first")
    repository.add_target("targets", "in/folders/two", b"the second")
    repository.publish("targets", "snapshot", "timestamp")
    client = Client(repository)
    assert client.download("one", "in/folders/two"), client.said
    assert client.downloaded() == [b"the first", b"the second"]
    # What is there already is not fetched again.
    assert client.download("one") and not any("targets/" in name for name in repository.asked)
    for wrong in [b"the firsT", b"the first and more", b"the", "endless", None]:
        other = Client(repository)
        repository.data["one"] = wrong
        assert not other.download("one") and other.downloaded() == [], wrong
        assert client.download("one") and client.downloaded() == [b"the first", b"the second"]


def reads_no_more_than_it_must():
    for name in ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]:
        repository = Repository()
        client = Client(repository)
        repository.files[name] = "endless"
        assert not client.refresh() and "endless data" in client.said, client.said


CASES = [case for case in list(globals().values()) if callable(case) and getattr(case, "__module__", "") == "__main__" and case.__name__[0].islower()]
for case in CASES:
    case()
    print(case.__name__)
print(f"{len(CASES)} cases hold")
