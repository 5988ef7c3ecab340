//! Whether a program can be run, without running it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Finding;

/// Returns why a file can't be run, in words that go on after its name; `None` where it can.
pub(crate) fn trouble(file: &Path) -> Option<&'static str> {
    match std::fs::metadata(file) {
        Err(_) => Some("is not there"),
        Ok(facts) if !facts.is_file() => Some("is no file"),
        Ok(_) if access(file, Access::EXEC_OK).is_err() => Some("is not executable"),
        Ok(_) => None,
    }
}

/// Returns the file that a program's name stands for; a name with a `/` is looked for in a folder, any other in these.
pub(super) fn find(name: &str, folder: &Path, path: Option<&OsStr>) -> Result<PathBuf, String> {
    if name.contains('/') {
        let file = folder.join(name.strip_prefix("./").unwrap_or(name));
        return match trouble(&file) {
            Some(why) => Err(format!("{} {why}", file.display())),
            None => Ok(file),
        };
    }
    let folders = path.into_iter().flat_map(std::env::split_paths);
    folders
        .map(|folder| folder.join(name))
        .find(|file| trouble(file).is_none())
        .ok_or_else(|| format!("`{name}` is in no folder of PATH"))
}

/// Tells whether a command's program is there; `key` is the configuration's name for it.
pub(crate) fn examine(about: &str, key: &str, argv: &[String], folder: &Path) -> Finding {
    let Some(name) = argv.first() else {
        let mend = format!("name a program in `{key}`");
        return Finding::problem(about, "there is no program to run", mend);
    };
    match find(name, folder, std::env::var_os("PATH").as_deref()) {
        Ok(file) => Finding::ok(about, format!("{} can be run", file.display())),
        Err(why) => {
            let mend = format!("install it, or correct `{key}`");
            Finding::problem(about, why, mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_looked_for_as_they_are_run() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let file = bin.join("flasher");
        fs::write(&file, "").unwrap();
        let path = std::env::join_paths([folder.path(), bin.as_path()]).unwrap();
        let look = |name: &str| find(name, folder.path(), Some(&path));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(look("flasher").unwrap_err().contains("no folder of PATH"));
        assert!(
            look("./bin/flasher")
                .unwrap_err()
                .contains("is not executable")
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look("flasher").unwrap(), file);
        assert_eq!(look("./bin/flasher").unwrap(), file);
        assert_eq!(look(file.to_str().unwrap()).unwrap(), file);
        assert!(look("./bin").unwrap_err().contains("is no file"));
        assert!(look("./gone").unwrap_err().contains("is not there"));
        assert!(find("flasher", folder.path(), None).is_err());
    }
}
