//! Whether the server can be reached and takes this device, and whether both have the same time.

use std::sync::Arc;
use std::time::Duration;

use otter_protocol::{Problem, Sha256Digest, Timestamp};
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Method, StatusCode};
use url::{Host, Url};

use super::Finding;
use crate::clock;
use crate::config::Config;
use crate::disk::Disk;
use crate::identity::Identity;
use crate::net::transport::{Answer, Freight, Purpose, Request, Transport};
use crate::net::{Client, NetError, Token, Wanted};

const TIMEOUT: Duration = Duration::from_secs(30);
/// More than metadata of a timestamp, or a problem, needs.
const LARGEST_ANSWER: usize = 256 << 10;
/// Clocks that differ by less than this do no harm.
const TOLERABLE_SEC: i64 = 300;

/// What came of asking.
pub(super) struct Answered {
    pub(super) findings: Vec<Finding>,
    /// What time the server has.
    pub(super) date: Option<Timestamp>,
}

/// Asks for what changes nothing: the newest timestamp metadata, and an artifact that doesn't exist, for which the server
/// looks at the token first.
pub(super) async fn ask(
    config: &Config,
    disk: Arc<dyn Disk>,
    transport: Arc<dyn Transport>,
) -> Answered {
    let mut findings: Vec<Finding> = is_open(&config.server).into_iter().collect();
    let mut date = None;
    let reached = match first_answer(config, transport.as_ref()).await {
        Ok(answer) => {
            date = server_date(&answer.headers);
            who(&config.server, answer).await
        }
        Err(error) => Err(unreachable(&config.server, &error)),
    };
    match reached {
        Ok(finding) => {
            findings.push(finding);
            findings.push(token(config, disk, transport).await);
        }
        Err(finding) => findings.push(finding),
    }
    Answered { findings, date }
}

async fn first_answer(config: &Config, transport: &dyn Transport) -> Result<Answer, NetError> {
    let mut url = config.server.clone();
    let path = format!(
        "{}/device/v1/trust/timestamp.json",
        url.path().trim_end_matches('/')
    );
    url.set_path(&path);
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        timeout: Some(TIMEOUT),
        purpose: Purpose::Talk,
    };
    transport.send(request).await
}

/// Tells whether it is an Otter server that answers.
async fn who(server: &Url, mut answer: Answer) -> Result<Finding, Finding> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.body.next().await {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST_ANSWER {
            break;
        }
    }
    let has = |key: &str| {
        let json = serde_json::from_slice::<serde_json::Value>(&body);
        json.is_ok_and(|json| json.get(key).is_some())
    };
    let is_problem = serde_json::from_slice::<Problem>(&body).is_ok();
    let status = answer.status;
    if status.is_success() && has("signed") {
        Ok(Finding::ok("server", format!("{server} answers")))
    } else if status == StatusCode::NOT_FOUND && is_problem {
        let text = format!("{server} answers, but has no signed metadata yet");
        let mend = "bring the publishers' root and targets metadata to the server with `otter`";
        Ok(Finding::warning("server", text, mend))
    } else if is_problem || status.is_server_error() {
        let text = format!("{server} answers {status}");
        Err(Finding::problem(
            "server",
            text,
            "look at the server's log; the agent tries again by itself",
        ))
    } else {
        let text = format!("something answers {status} at {server}, but that is no Otter server");
        let mend = "correct `server`, with its path where it has one; a portal that wants a log-in answers like that, too";
        Err(Finding::problem("server", text, mend))
    }
}

fn unreachable(server: &Url, error: &NetError) -> Finding {
    let text = error.to_string();
    let lower = text.to_lowercase();
    let mend = if lower.contains("certificate") || lower.contains("tls") {
        "check the server's certificate, that this device has the CA certificates (ca-certificates), and its clock"
    } else if lower.contains("dns") || lower.contains("lookup") || lower.contains("resolve") {
        "check the name in `server`, and this device's DNS (/etc/resolv.conf)"
    } else {
        "check `server`, the network, and firewalls in between"
    };
    Finding::problem("server", format!("{server}: {text}"), mend)
}

/// Warns of a connection that anybody can listen to.
fn is_open(server: &Url) -> Option<Finding> {
    let is_near = match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    (server.scheme() == "http" && !is_near).then(|| {
        Finding::warning(
            "encryption",
            format!("{server} has no TLS: who listens on the way can take this device's token"),
            "put the server behind TLS, and write https:// in `server`",
        )
    })
}

async fn token(config: &Config, disk: Arc<dyn Disk>, transport: Arc<dyn Transport>) -> Finding {
    let token = match Identity::new(disk, &config.state_dir).token() {
        Ok(Some(token)) => token,
        Ok(None) => return not_enrolled(config),
        Err(error) => {
            let text = format!("the device's token can't be read: {error}");
            return Finding::problem("token", text, "run this as the agent's user");
        }
    };
    judged(is_taken(config, transport, token).await)
}

async fn is_taken(
    config: &Config,
    transport: Arc<dyn Transport>,
    token: Token,
) -> Result<(), NetError> {
    let client = Client::new(&config.server, transport);
    client.set_token(Some(token));
    let nothing = Sha256Digest([0; 32]);
    let address = format!("/device/v1/artifacts/{nothing}");
    let wanted = Wanted {
        address: &address,
        from: 0,
        etag: "",
        // Nothing of it comes, whatever the link.
        freight: Freight {
            bytes: 0,
            is_required: true,
        },
    };
    client.artifact(wanted).await.map(|_| ())
}

fn judged(answer: Result<(), NetError>) -> Finding {
    match answer {
        Err(error) if error.is_unauthenticated() => Finding::problem(
            "token",
            "the server doesn't take this device's token",
            "if an operator revoked it, have the device let in again; the agent enrolls by itself",
        ),
        Ok(())
        | Err(NetError::Refused {
            status: StatusCode::NOT_FOUND,
            ..
        }) => Finding::ok("token", "the server takes this device's token"),
        Err(error) => Finding::warning(
            "token",
            format!("nobody knows whether the server takes this device's token: {error}"),
            "try again",
        ),
    }
}

fn not_enrolled(config: &Config) -> Finding {
    match config.enrollment_token() {
        Ok(Some(_)) => Finding::ok(
            "token",
            "there is none yet: the agent gets one at its first start",
        ),
        Ok(None) => Finding::warning(
            "token",
            "there is none yet, and no enrollment token to get one at once",
            "run `otter-agent enroll` and have an operator accept the device, or set `enrollment_token_file`",
        ),
        Err(error) => Finding::problem(
            "token",
            format!("there is none yet, and the enrollment token can't be read: {error}"),
            "correct `enrollment_token_file`, or let the agent's user read it",
        ),
    }
}

fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().into())
}

/// Judges this device's clock, by the age of this program and by the server's.
pub(super) fn clock(now: Timestamp, server: Option<Timestamp>) -> Finding {
    let mend = "set the clock, and keep it right with NTP (`timedatectl set-ntp true`)";
    if now < clock::SOURCE_TIME {
        let text = format!("it says {now}, which is before this program was made");
        return Finding::problem("clock", text, mend);
    }
    let off = server.map(|server| now.to_jiff().duration_since(server.to_jiff()).as_secs());
    match off {
        Some(off) if off.abs() > TOLERABLE_SEC => Finding::warning(
            "clock",
            format!(
                "it is {} s {} the server's",
                off.abs(),
                if off > 0 { "ahead of" } else { "behind" }
            ),
            mend,
        ),
        Some(_) => Finding::ok("clock", "it agrees with the server's"),
        None => Finding::ok(
            "clock",
            "it is set, as far as can be told without the server",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn clocks_are_judged_by_the_source_and_the_server() {
        let early = clock::SOURCE_TIME.plus_sec(1000);
        let now = early.plus_sec(400);
        let table = [
            (Timestamp(0), None, Level::Problem, "before this program"),
            (now, None, Level::Ok, "set"),
            (now, Some(now.plus_sec(299)), Level::Ok, "agrees"),
            (
                now,
                Some(early),
                Level::Warning,
                "400 s ahead of the server",
            ),
            (
                now,
                Some(now.plus_sec(400)),
                Level::Warning,
                "400 s behind the server",
            ),
        ];
        for (now, server, level, words) in table {
            let finding = clock(now, server);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.text.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn only_what_leaves_the_machine_needs_tls() {
        let table = [
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://localhost", false),
            ("https://otter.example.com", false),
            ("http://otter.example.com", true),
            ("http://10.0.0.1", true),
        ];
        for (server, warns) in table {
            assert_eq!(
                is_open(&server.parse().unwrap()).is_some(),
                warns,
                "{server}"
            );
        }
    }

    #[test]
    fn what_to_do_depends_on_why_nobody_answers() {
        let server = "https://otter.example.com".parse().unwrap();
        let table = [
            ("invalid peer certificate: UnknownIssuer", "ca-certificates"),
            ("dns error: failed to lookup address", "DNS"),
            ("tcp connect error: Connection refused", "firewalls"),
        ];
        for (why, words) in table {
            let finding = unreachable(&server, &NetError::Unreachable(why.to_owned()));
            assert!(finding.mend.unwrap().contains(words), "{why}");
        }
    }

    #[test]
    fn a_token_is_bad_where_the_server_says_so() {
        let refused = |status| {
            judged(Err(NetError::Refused {
                status,
                text: String::new(),
                retry_after: None,
            }))
        };
        assert_eq!(refused(StatusCode::NOT_FOUND).level, Level::Ok);
        assert_eq!(refused(StatusCode::UNAUTHORIZED).level, Level::Problem);
        assert_eq!(
            refused(StatusCode::SERVICE_UNAVAILABLE).level,
            Level::Warning
        );
    }
}
