//! A network that cuts, stalls, garbles, refuses and misleads: an update ends whole, or is refused with a reason, and no wrong
//! byte is ever installed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::device::Device;
use common::eventually;
use common::network::{Asked, Mischief, Network};
use common::publisher::{Publisher, Release};
use common::server::{DEVICE_TOKEN, ENROLLMENT_TOKEN, Server};
use futures::future::join_all;
use otter_protocol::{AttemptReport, AttemptState};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// Everything that a device asks for.
const KINDS: [&str; 5] = ["/enroll", "/check-in", "/reports", "/trust/", "/artifacts/"];

/// A device that runs 1.0.0 and gets 1.1.0 over a network of its own.
struct Case {
    server: Server,
    publisher: Publisher,
    network: Network,
    device: Device,
    /// What the device has.
    runs: String,
    is_started: bool,
}

impl Case {
    async fn new(plan: impl FnMut(&Asked) -> Mischief + Send + 'static) -> Self {
        let server = Server::start().await;
        let network = Network::start(&server.address, plan).await;
        Self {
            device: Device::new(&server.at(&network.address)),
            publisher: Publisher::new(),
            server,
            network,
            runs: "1.0.0".to_owned(),
            is_started: false,
        }
    }

    fn release(&mut self, version: &str) -> Release {
        let tree = self.device.tree(version, false);
        let release = self.publisher.release(version, &tree);
        self.server.fleet().files = self.publisher.files.clone();
        release
    }

    /// Offers a release, and returns how that ends. The version that runs is whole, whatever happened.
    async fn update(&mut self, version: &str) -> AttemptReport {
        let release = self.release(version);
        let attempt = self.server.offer(&release);
        if !std::mem::replace(&mut self.is_started, true) {
            self.device.start();
        }
        let end = self.server.end_of(attempt).await;
        let runs = match end.state {
            AttemptState::Succeeded => version.to_owned(),
            _ => self.runs.clone(),
        };
        self.device.answers_with(&runs).await;
        assert_eq!(self.device.whole_version(), runs);
        self.runs = runs;
        end
    }

    /// Fails unless an update ended in its refusal; returns the reason.
    async fn refused(&mut self, version: &str) -> String {
        let end = self.update(version).await;
        assert_eq!(end.state, AttemptState::Failed, "{:?}", end.message);
        end.message.unwrap()
    }

    /// Fails unless an update works now.
    async fn works(&mut self, version: &str) {
        let end = self.update(version).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    }
}

/// Does something to the first requests of each kind.
fn at_first(mischief: Mischief, times: usize) -> impl FnMut(&Asked) -> Mischief + Send + 'static {
    let mut left: BTreeMap<&str, usize> = KINDS.iter().map(|kind| (*kind, times)).collect();
    move |asked| {
        let kind = left.iter_mut().find(|(kind, _)| asked.is_for(kind));
        match kind {
            Some((_, left)) if *left > 0 => {
                *left -= 1;
                mischief.clone()
            }
            _ => Mischief::None,
        }
    }
}

/// Does something to the requests for one thing, always.
fn to(what: &'static str, mischief: Mischief) -> impl FnMut(&Asked) -> Mischief + Send + 'static {
    move |asked| {
        if asked.is_for(what) {
            mischief.clone()
        } else {
            Mischief::None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_out() {
    let troubles = [
        Mischief::Cut(0),
        Mischief::Cut(20),
        Mischief::Cut(60_000),
        Mischief::Stall(0),
        Mischief::Stall(60_000),
        Mischief::Answer(500, None),
        Mischief::Answer(503, Some(0)),
        Mischief::Answer(429, None),
        Mischief::Answer(429, Some(1)),
    ];
    let cases = troubles.map(|trouble| async move {
        let mut case = Case::new(at_first(trouble, 2)).await;
        case.works("1.1.0").await;
    });
    join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_refused_with_their_reason() {
    const ARTIFACT: &str = "/artifacts/";
    let yesterdays = vec![7; 1000];
    let cases = [
        (
            ARTIFACT,
            Mischief::FlipBody(1_000_003),
            "wrong software: r1/",
        ),
        (ARTIFACT, Mischief::FlipBody(0), "wrong software: r1/"),
        (
            ARTIFACT,
            Mischief::Truncate(1000),
            "wrong software: the server announces",
        ),
        (
            ARTIFACT,
            Mischief::Give(yesterdays),
            "wrong software: the server announces 1000 bytes",
        ),
        ("/timestamp.json", Mischief::FlipBody(2000), "timestamp"),
        ("/timestamp.json", Mischief::Truncate(10), "timestamp"),
        (".targets.json", Mischief::FlipBody(4001), "targets"),
        (".snapshot.json", Mischief::FlipBody(3001), "snapshot"),
    ];
    let cases = cases.map(|(what, mischief, words)| async move {
        let mut case = Case::new(to(what, mischief.clone())).await;
        let reason = case.refused("1.1.0").await;
        assert!(reason.contains(words), "{mischief:?}: {reason}");
        let left = std::fs::read_dir(case.device.state().join("downloads"));
        assert_eq!(left.map_or(0, Iterator::count), 0, "{mischief:?}");
    });
    join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_files_are_not_todays() {
    // Files by name that take the place of what the server has now.
    let old: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let given = old.clone();
    let mut case = Case::new(move |asked| {
        let name = asked.target.rsplit('/').next().unwrap_or_default();
        let file = given.lock().unwrap().get(name).cloned();
        file.map_or(Mischief::None, Mischief::Give)
    })
    .await;
    // The device has never seen what is newer: what isn't listed isn't there.
    case.release("1.0.1");
    *old.lock().unwrap() = case.publisher.files.clone();
    let reason = case.refused("1.1.0").await;
    assert!(reason.contains("is not in the signed targets"), "{reason}");
    // Once it has, the old list is a lie.
    let kept = std::mem::take(&mut *old.lock().unwrap());
    case.works("1.2.0").await;
    *old.lock().unwrap() = kept;
    let reason = case.refused("1.3.0").await;
    assert!(reason.starts_with("rollback: "), "{reason}");
    // An artifact that was signed, but for another release.
    let (older, newer) = (case.release("1.4.0"), case.release("1.5.0"));
    let other = BTreeMap::from([(newer.artifact.sha256.to_string(), older.bytes)]);
    *old.lock().unwrap() = other;
    let end = case.update("1.5.0").await;
    assert_eq!(end.state, AttemptState::Failed);
    let reason = end.message.unwrap();
    assert!(reason.starts_with("wrong software: "), "{reason}");
    old.lock().unwrap().clear();
    case.works("1.6.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_redirects_is_left() {
    let mut case = Case::new(to(
        "/artifacts/",
        Mischief::Redirect(302, "/device/v1/artifacts/round-and-round".to_owned()),
    ))
    .await;
    let reason = case.refused("1.1.0").await;
    assert!(reason.contains("redirects more than 5 times"), "{reason}");
    let asked = case.network.asked();
    let circles = asked.iter().filter(|asked| asked.is_for("/artifacts/"));
    assert_eq!(circles.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_device_says_goes_to_its_server_alone() {
    let thief = Network::start("", |_| Mischief::Give(b"{}".to_vec())).await;
    let cases = [301, 302, 303, 307, 308].map(|status| {
        let elsewhere = format!("{}/thanks", thief.address);
        async move {
            let mut plan = at_first(Mischief::Redirect(status, elsewhere), 2);
            let mut case = Case::new(move |asked| {
                let is_said = asked.head.starts_with("POST ");
                if is_said { plan(asked) } else { Mischief::None }
            })
            .await;
            case.works("1.1.0").await;
            let log = case.device.log();
            assert!(log.contains("Set `server` to where"), "{log}");
        }
    });
    join_all(cases).await;
    assert_eq!(thief.asked().len(), 0, "{:?}", thief.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_can_be_elsewhere_but_the_token_stays() {
    let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
    let given = bytes.clone();
    let store = Network::start("", move |_| Mischief::Give(given.lock().unwrap().clone())).await;
    let elsewhere = format!("{}/store?key=otter", store.address);
    let mut case = Case::new(to("/artifacts/", Mischief::Redirect(302, elsewhere))).await;
    let release = case.release("1.1.0");
    *bytes.lock().unwrap() = release.bytes;
    case.works("1.1.0").await;
    let asked = store.asked();
    assert_eq!(asked.len(), 1);
    let said = format!("{:?}", asked[0]).to_lowercase();
    for secret in [DEVICE_TOKEN, ENROLLMENT_TOKEN, "authorization"] {
        assert!(!said.contains(secret), "{said}");
    }
    // The server itself was told who asks.
    let asked = case.network.asked();
    let first = asked.iter().find(|asked| asked.is_for("/artifacts/"));
    assert!(first.unwrap().head.contains(DEVICE_TOKEN));
}

/// Any trouble, at any place.
fn any(random: &mut StdRng, asked: &Asked) -> Mischief {
    let is_signed = asked.is_for("/trust/") || asked.is_for("/artifacts/");
    let place = random.random_range(0..400_000);
    let near = random.random_range(0..600);
    let mut all = vec![
        Mischief::Cut(place),
        Mischief::Cut(near),
        Mischief::Stall(place),
        Mischief::Stall(near),
        Mischief::FlipHead(place),
        Mischief::Answer(500, None),
        Mischief::Answer(429, Some(1)),
        Mischief::Answer(503, None),
        Mischief::Redirect(307, asked.target.clone()),
        Mischief::Redirect(302, "http://127.0.0.1:9/".to_owned()),
    ];
    // What isn't signed has only TLS to protect it, and there is none here.
    if is_signed {
        all.extend([
            Mischief::FlipBody(place),
            Mischief::Truncate(near),
            Mischief::Give(vec![b'x'; near]),
        ]);
    }
    all.choose(random).cloned().unwrap_or(Mischief::None)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_together_an_update_is_whole_or_not_at_all() {
    const TROUBLED: usize = 30;
    let cases = (0..12).map(|seed| async move {
        let mut random = StdRng::seed_from_u64(seed);
        let mut count = 0;
        let done: Arc<Mutex<Vec<(String, Mischief)>>> = Arc::default();
        let story = done.clone();
        let mut case = Case::new(move |asked| {
            count += 1;
            if count > TROUBLED || random.random_bool(0.5) {
                return Mischief::None;
            }
            let mischief = any(&mut random, asked);
            let mut story = story.lock().unwrap();
            story.push((asked.target.clone(), mischief.clone()));
            mischief
        })
        .await;
        let end = case.update("1.1.0").await;
        let story = format!("seed {seed}: {:?}", done.lock().unwrap());
        let is_whole = end.state == AttemptState::Succeeded;
        let is_refused = end.state == AttemptState::Failed;
        assert!(is_whole || is_refused, "{story}: {end:?}");
        let reason = end.message.unwrap_or_default();
        assert!(is_whole || reason.contains(' '), "{story}: {reason}");
        // Once the network is itself again, nothing of it is left.
        let calm = || (case.network.asked().len() > TROUBLED).then_some(());
        eventually("the network to calm down", calm).await;
        case.works("1.2.0").await;
    });
    join_all(cases).await;
}
