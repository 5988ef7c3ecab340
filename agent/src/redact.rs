//! Takes secrets out of text that leaves the device: those that the agent knows, and what looks like one.

/// In a secret's place.
const GONE: &str = "[redacted]";
/// How secrets begin that a server gives out.
const PREFIXES: [&str; 4] = ["otd_", "ote_", "ota_", "otk_"];
/// What names a secret, in the name of a setting or of a variable.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
];
/// Words after which a secret comes.
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// Known secrets that are shorter would take half the text with them.
const SHORTEST: usize = 6;

/// Tells whether a name is that of a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

/// Takes secrets out of a text: `known` wherever they stand, tokens by their looks, passwords in addresses, and values that are
/// assigned to names of secrets.
pub(crate) fn redact(text: &str, known: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in known.iter().filter(|secret| secret.len() >= SHORTEST) {
        text = text.replace(secret.as_str(), GONE);
    }
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut is_secret = false;
    for word in line.split_inclusive([' ', '\t']) {
        let (bare, rest) = word.split_at(word.trim_end().len());
        if bare.is_empty() {
            out.push_str(rest);
            continue;
        }
        let lower = bare.trim_end_matches([':', '=']).to_ascii_lowercase();
        let is_scheme = SCHEMES.contains(&lower.trim_start_matches(['"', '\'']));
        if is_secret && !is_scheme {
            out.push_str(GONE);
        } else {
            out.push_str(&self::word(bare));
        }
        out.push_str(rest);
        // A name of a secret announces one, alone with its colon or equals sign; so does a scheme.
        is_secret = is_scheme || bare.ends_with([':', '=']) && is_secret_name(&lower);
    }
    out
}

fn word(word: &str) -> String {
    let word = without_password(word);
    if let Some(at) = PREFIXES.iter().filter_map(|prefix| word.find(prefix)).min() {
        let (before, secret) = word.split_at(at);
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let rest = secret.trim_start_matches(is_part);
        return format!("{before}{GONE}{rest}");
    }
    match word.find(['=', ':']) {
        Some(at) => {
            let (name, value) = word.split_at(at);
            let is_address = value.starts_with("://");
            if value.len() > 1 && !is_address && is_secret_name(name) {
                let sign = value.get(..1).unwrap_or_default();
                format!("{name}{sign}{GONE}")
            } else {
                word
            }
        }
        None => word,
    }
}

/// Takes name and password out of an address.
fn without_password(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(ends);
    let authority = authority.rsplit_once('@').map_or_else(
        || authority.to_owned(),
        |(_, host)| format!("{GONE}@{host}"),
    );
    // What comes after a question mark lets some stores' visitors in.
    let path = path
        .split_once('?')
        .map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?{GONE}"));
    format!("{scheme}://{authority}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let known = ["hunter2-of-the-modem".to_owned(), "abc".to_owned()];
        let table = [
            ("abc is too short to be told", "abc is too short to be told"),
            ("dials with hunter2-of-the-modem!", "dials with [redacted]!"),
            ("token otd_1f-2e_3 refused", "token [redacted] refused"),
            ("(ote_abc)", "([redacted])"),
            (
                "Authorization: Bearer abc.def",
                "Authorization: Bearer [redacted]",
            ),
            (
                "Authorization: Basic dTpw x",
                "Authorization: Basic [redacted] x",
            ),
            ("DB_PASSWORD=geheim port=1", "DB_PASSWORD=[redacted] port=1"),
            ("password: geheim port", "password: [redacted] port"),
            ("\"api_key\":\"geheim\"", "\"api_key\":[redacted]"),
            (
                "GET https://u:p@a.example/x?sig=1 200",
                "GET https://[redacted]@a.example/x?[redacted] 200",
            ),
            (
                "2026-01-01T00:00:00Z the service exited: out of otters",
                "2026-01-01T00:00:00Z the service exited: out of otters",
            ),
            ("  a\n\tb\n", "  a\n\tb\n"),
        ];
        for (text, expected) in table {
            assert_eq!(redact(text, &known), expected);
        }
    }

    #[test]
    fn nothing_breaks_it() {
        for text in [
            "",
            "=",
            ":",
            "://",
            "password=",
            "ü=ö token:",
            "Bearer",
            "a://@?",
        ] {
            redact(text, &[]);
        }
    }
}
