# Updates one file of MicroPython by Otter's plain firmware API.
#
#   micropython otter_client.py http://otter.example:8080 DEVICE MODEL FOLDER
#
# The program is a module in one of two slots, app_a.py and app_b.py, with two functions: self_test() returns whether it
# works, main() is what it is for. Which slot counts stands in state.json, which is only ever replaced whole: whatever is
# cut, at any moment, the next start finds the old program or the new one, whole and with the checksum that was offered. A new one is on trial until its self_test()
# returns true; one that doesn't, or that never comes so far, is given up at the next start.
#
# One run is one start of the device: it boots what counts, then asks once. The exit status 10 asks for a restart, so that
# what was downloaded is tried. On a board, call boot() from main.py, and machine.reset() where this exits.

import hashlib
import json
import os
import sys

try:
    import usocket as socket
except ImportError:
    import socket

CHUNK = 1024
# Starts that a new program gets to pass its test.
TRIES = 1
RESTART = 10


class Server:
    """HTTP as far as it is needed, in the memory of a microcontroller: bodies are read in chunks."""

    def __init__(self, url):
        scheme, rest = url.rstrip("/").split("://", 1)
        self.tls = scheme == "https"
        host, _, port = rest.partition(":")
        self.host = host
        self.port = int(port) if port else (443 if self.tls else 80)

    def request(self, method, path, headers=(), body=None):
        """Sends a request; returns the status, the headers, and the socket to read the body from."""
        address = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)[0][-1]
        connection = socket.socket()
        try:
            connection.connect(address)
            if self.tls:
                import ssl

                # Give it the server's certificate, where your port of MicroPython can check one: without TLS that is
                # checked, whoever stands between can offer other firmware with a checksum that fits it.
                connection = ssl.wrap_socket(connection, server_hostname=self.host)
            lines = ["%s %s HTTP/1.1" % (method, path), "Host: %s:%d" % (self.host, self.port), "Connection: close"]
            lines.extend("%s: %s" % header for header in headers)
            if body is not None:
                lines.append("Content-Type: application/json")
                lines.append("Content-Length: %d" % len(body))
            connection.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            if body is not None:
                connection.write(body)
            status = int(connection.readline().split(None, 2)[1])
            answer = {}
            while True:
                line = connection.readline().strip()
                if not line:
                    break
                name, _, value = line.decode().partition(":")
                answer[name.lower()] = value.strip()
            return status, answer, connection
        except Exception:
            connection.close()
            raise

    def json(self, method, path, body=None):
        """Sends a request and reads the JSON of its answer."""
        if body is not None:
            body = json.dumps(body).encode()
        status, _, connection = self.request(method, path, body=body)
        try:
            text = connection.read()
        finally:
            connection.close()
        if status != 200:
            raise OSError("%s %s: %d %s" % (method, path, status, text.decode()))
        return json.loads(text)


def quoted(text):
    """Writes a text so that it fits in an address."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(char if char in plain else "".join("%%%02X" % byte for byte in char.encode()) for char in text)


def hexadecimal(data):
    return "".join("%02x" % byte for byte in data)


class Client:
    def __init__(self, url, device, model, folder):
        self.server = Server(url)
        self.device = device
        self.model = model
        self.folder = folder
        self.state = self.read_state()

    def path(self, name):
        return self.folder + "/" + name

    def read_state(self):
        try:
            with open(self.path("state.json")) as file:
                return json.load(file)
        except OSError:
            # As it left the factory.
            return {"slot": "a", "version": "1.0.0", "trial": None, "to_report": None}

    def write_state(self):
        """Replaces the state as a whole: a cut leaves the one before or this one."""
        with open(self.path("state.json.new"), "w") as file:
            json.dump(self.state, file)
            # To the flash, not just out of the buffer: the name must not come to hold before the bytes do.
            file.flush()
        os.rename(self.path("state.json.new"), self.path("state.json"))

    def load(self, slot):
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        return __import__("app_" + slot)

    # Starting

    def boot(self):
        """Loads the program that counts; settles whether one on trial stays. Returns it."""
        trial = self.state["trial"]
        if trial:
            if trial["starts"] >= TRIES:
                self.give_up("it did not come up")
            else:
                # Counted before it runs: one that hangs or crashes is on its last start.
                trial["starts"] += 1
                self.write_state()
                program = self.tried(trial)
                if program:
                    return program
        return self.load(self.state["slot"])

    def tried(self, trial):
        try:
            program = self.load(trial["slot"])
            if not program.self_test():
                raise RuntimeError("its self-test failed")
        except Exception as error:
            self.give_up(str(error) or type(error).__name__)
            return None
        self.state["slot"] = trial["slot"]
        self.state["version"] = trial["version"]
        self.settle(trial["version"], "success", None)
        return program

    def give_up(self, why):
        self.settle(self.state["trial"]["version"], "rolled_back", why)

    def settle(self, version, status, why):
        """Ends the trial; what there is to report of it waits on the disk until the server has it."""
        self.state["trial"] = None
        self.state["to_report"] = {"version": version, "status": status, "why": why}
        self.write_state()

    # Asking

    def report(self, version, status, percent=None, why=None):
        body = {"device_id": self.device, "firmware_version": version, "status": status}
        if percent is not None:
            body["progress_percent"] = percent
        if why:
            body["error_message"] = why
        self.server.json("POST", "/api/device/%s/update-status" % quoted(self.device), body)

    def report_settled(self):
        waiting = self.state["to_report"]
        if waiting:
            self.report(waiting["version"], waiting["status"], 100, waiting["why"])
            self.state["to_report"] = None
            self.write_state()

    def check(self):
        """Asks for an update and prepares it. Returns whether a restart would try it."""
        self.report_settled()
        told = self.server.json(
            "GET",
            "/api/firmware/check?device_id=%s&device_model=%s&current_version=%s"
            % (quoted(self.device), quoted(self.model), quoted(self.state["version"])),
        )
        if not told["update_available"]:
            return False
        version = told["latest_version"]
        slot = "b" if self.state["slot"] == "a" else "a"
        try:
            self.report(version, "downloading", 0)
            self.download(told, self.path("app_%s.py" % slot))
            self.report(version, "downloaded", 100)
        except Exception as error:
            self.report(version, "failed", None, str(error) or type(error).__name__)
            return False
        self.report(version, "installing")
        self.state["trial"] = {"slot": slot, "version": version, "starts": 0}
        self.write_state()
        return True

    def download(self, told, target):
        """Writes what was offered into the slot that doesn't count; goes on where a cut connection left off."""
        digest = hashlib.sha256()
        done = 0
        size = told["file_size"]
        with open(target, "wb") as file:
            while done < size:
                before = done
                status, _, connection = self.server.request(
                    "GET", told["download_url"], headers=[("Range", "bytes=%d-" % done)]
                )
                try:
                    # A server that passes over the range sends all from the start.
                    if status != 206 and not (status == 200 and done == 0):
                        raise OSError("the download answers %d" % status)
                    while done < size:
                        part = connection.read(min(CHUNK, size - done))
                        if not part:
                            break
                        file.write(part)
                        digest.update(part)
                        done += len(part)
                finally:
                    connection.close()
                if done == before:
                    raise OSError("the download stands still at %d of %d bytes" % (done, size))
            file.flush()
        if hexadecimal(digest.digest()) != told["checksum_sha256"]:
            raise ValueError("the checksum differs")


def main():
    if len(sys.argv) != 5:
        print("usage: otter_client.py URL DEVICE MODEL FOLDER")
        return 2
    client = Client(*sys.argv[1:])
    program = client.boot()
    print("running", client.state["version"])
    program.main()
    return RESTART if client.check() else 0


if __name__ == "__main__":
    sys.exit(main())
