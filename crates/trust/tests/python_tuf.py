"""Reads a repository with python-tuf's own client, as another implementation of TUF would.

Usage: python_tuf.py REPOSITORY EXPECTED [--unknown NAME], where REPOSITORY holds the metadata files and EXPECTED, a
JSON file, says what they should say. No role may speak for the target NAME.
"""

import hashlib
import json
import pathlib
import sys
import tempfile

from securesystemslib.formats import encode_canonical
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class Folder(FetcherInterface):
    """Serves files of a folder in place of a web server."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def _fetch(self, url: str):
        path = self.folder / url.removeprefix("folder://metadata/")
        if not path.is_file():
            raise DownloadHTTPError(f"no {path.name}", 404)
        yield path.read_bytes()


def check_key_ids(root: Metadata) -> None:
    """Key ids are those that securesystemslib itself would give."""
    for key_id, key in root.signed.keys.items():
        content = {"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval}
        assert hashlib.sha256(encode_canonical(content).encode()).hexdigest() == key_id


def main() -> None:
    folder, expected_file = map(pathlib.Path, sys.argv[1:3])
    expected = json.loads(expected_file.read_text())
    root = Metadata.from_bytes((folder / "1.root.json").read_bytes())
    check_key_ids(root)
    with tempfile.TemporaryDirectory() as store:
        updater = Updater(
            metadata_dir=store,
            metadata_base_url="folder://metadata/",
            fetcher=Folder(folder),
            bootstrap=root.to_bytes(),
        )
        updater.refresh()
        trusted = updater._trusted_set
        versions = [
            trusted.root.version,
            trusted.timestamp.version,
            trusted.snapshot.version,
            trusted.targets.version,
        ]
        assert versions == expected["versions"], versions
        assert set(trusted.targets.targets) == set(expected["targets"])
        for name in sys.argv[4:]:
            assert updater.get_targetinfo(name) is None, name
        for name, target in {**expected["targets"], **expected["delegated"]}.items():
            info = updater.get_targetinfo(name)
            assert info is not None and info.to_dict() == target, name
    print("python-tuf agrees")


main()
