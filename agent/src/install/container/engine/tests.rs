use super::*;

fn common(newest: &str, oldest: Option<&str>) -> Result<ApiVersion, String> {
    common_version(&VersionAnswer {
        api_version: newest.to_owned(),
        oldest: oldest.map(str::to_owned),
    })
}

#[test]
fn the_newest_version_that_both_know_is_spoken() {
    assert_eq!(common("1.41", Some("1.12")), Ok(ApiVersion(1, 41)));
    assert_eq!(common("1.99", Some("1.44")), Ok(NEWEST));
    assert_eq!(common("1.47", None), Ok(NEWEST));
    for (newest, oldest) in [("1.24", None), ("1.99", Some("1.48")), ("2.3", Some("2.0"))] {
        let error = common(newest, oldest).unwrap_err();
        assert!(error.contains("this agent 1.25 to 1.47"), "{error}");
    }
    assert!(common("new", None).unwrap_err().contains("no version"));
}

#[test]
fn its_words_are_short_and_on_one_line() {
    assert_eq!(
        words(b"{\"message\": \"No such\\n image\"}"),
        "No such image"
    );
    assert_eq!(words(b"<html>\r\n no\x1b</html>"), "<html> no</html>");
    assert_eq!(words(&[b'x'; 5000]).len(), LONGEST_WORDS);
}
