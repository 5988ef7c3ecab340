//! Python with python-tuf, the reference implementation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PYTHON_TUF: &str = "tuf==7.0.1";

/// Runs a command to its end, which must be a good one.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} did not start: {error}. Install python3-venv"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes the virtual environment once under the target folder; later runs find it finished.
pub fn python() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tmp.join(format!("{}-crypto", PYTHON_TUF.replace("==", "-")));
    let python = folder.join("bin/python");
    let finished = folder.join("finished");
    // Two tests may want it at once: one makes it, the other waits.
    let lock = std::fs::File::create(tmp.join("python-tuf.lock")).unwrap();
    lock.lock().unwrap();
    if !finished.exists() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder));
        let packages = [PYTHON_TUF, "securesystemslib[crypto]"];
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages));
        std::fs::write(finished, PYTHON_TUF).unwrap();
    }
    python
}
