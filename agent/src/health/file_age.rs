//! A file that must have been modified lately.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// File systems round times, and clocks are adjusted a little.
const LEEWAY: Duration = Duration::from_secs(2);

/// Looks once; a link counts for what it leads to.
pub(super) async fn probe(path: &Path, max_age: Duration) -> Result<(), String> {
    let modified = tokio::fs::metadata(path)
        .await
        .and_then(|facts| facts.modified())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    judge(modified, SystemTime::now(), max_age).map_err(|what| format!("{} {what}", path.display()))
}

/// Tells whether something that was modified then is young enough now.
fn judge(modified: SystemTime, now: SystemTime, max_age: Duration) -> Result<(), String> {
    match now.duration_since(modified) {
        Ok(age) if age <= max_age => Ok(()),
        Ok(age) => Err(format!(
            "should have been modified within {max_age:?}, but that was {} s ago",
            age.as_secs()
        )),
        Err(ahead) if ahead.duration() <= LEEWAY => Ok(()),
        // Written before the clock was set back: who knows how long ago that is.
        Err(ahead) => Err(format!(
            "should have been modified within {max_age:?}, but its time lies {} s ahead of the device's clock",
            ahead.duration().as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now = SystemTime::now();
        let sec = Duration::from_secs;
        let table = [
            (now, Ok(())),
            (now - sec(60), Ok(())),
            (now - sec(61), Err("61 s ago")),
            (now + sec(1), Ok(())),
            (now + sec(3600), Err("3600 s ahead")),
        ];
        for (modified, expected) in table {
            let judged = judge(modified, now, sec(60));
            match expected {
                Ok(()) => assert_eq!(judged, Ok(())),
                Err(words) => assert!(judged.unwrap_err().contains(words)),
            }
        }
    }

    #[tokio::test]
    async fn real_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let error = probe(&path, LEEWAY).await.unwrap_err();
        assert!(error.contains("alive: No such file"), "{error}");
        let file = std::fs::File::create(&path).unwrap();
        assert_eq!(probe(&path, Duration::from_secs(600)).await, Ok(()));
        file.set_modified(SystemTime::now() - Duration::from_secs(900))
            .unwrap();
        let error = probe(&path, Duration::from_secs(600)).await.unwrap_err();
        assert!(error.contains("within 600s, but that was 90"), "{error}");
    }
}
