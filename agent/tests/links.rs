//! Several connections, here told apart by the address that they go out from; proxies; what costs, and what waits.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use std::net::IpAddr;

use common::device::Device;
use common::eventually;
use common::network::{Asked, Mischief, Network};
use common::publisher::{Publisher, Release};
use common::server::Server;
use otter_protocol::check_in::CheckIn;
use otter_protocol::{AttemptId, AttemptState};
use tokio::net::TcpSocket;

const SECOND: &str = "127.0.0.2";
const THIRD: &str = "127.0.0.3";

/// Goes out from an address that this machine hasn't: it can never connect.
const DEAD: &str = "[[link]]\nname = \"dead\"\nkind = \"wifi\"\nsource = \"192.0.2.1\"\n";

fn link(name: &str, kind: &str, source: &str, more: &str) -> String {
    format!("[[link]]\nname = \"{name}\"\nkind = \"{kind}\"\nsource = \"{source}\"\n{more}\n")
}

struct Case {
    server: Server,
    publisher: Publisher,
    network: Network,
    device: Device,
}

impl Case {
    async fn new(links: &str, plan: impl FnMut(&Asked) -> Mischief + Send + 'static) -> Self {
        let server = Server::start().await;
        let network = Network::start(&server.address, plan).await;
        let device = Device::with(&server.at(&network.address), links);
        device.edit("_timeout_sec = 1", "_timeout_sec = 0.4");
        Self {
            device,
            publisher: Publisher::new(),
            server,
            network,
        }
    }

    fn offer(&mut self) -> (AttemptId, Release) {
        let tree = self.device.tree("1.1.0", false);
        let release = self.publisher.release("1.1.0", &tree);
        self.server.fleet().files = self.publisher.files.clone();
        (self.server.offer(&release), release)
    }

    async fn succeeds(&self, attempt: AttemptId) {
        let end = self.server.end_of(attempt).await;
        assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
        assert_eq!(self.device.whole_version(), "1.1.0");
    }

    /// Waits for a check-in after the update.
    async fn last_check_in(&self) -> CheckIn {
        let new = || {
            let fleet = self.server.fleet();
            let last = fleet.check_ins.last();
            last.filter(|c| c.version == "1.1.0".into() && c.attempt.is_none())
                .cloned()
        };
        eventually("a check-in with the new version", new).await
    }

    /// Waits for a report that says something, and returns all that it says.
    async fn told(&self, words: &str) -> String {
        let told = || {
            let fleet = self.server.fleet();
            let mut messages = fleet.reports.iter().filter_map(|(_, report)| {
                let message = report.message.clone()?;
                (report.state == AttemptState::Downloading).then_some(message)
            });
            messages.find(|message| message.contains(words))
        };
        eventually(&format!("a report of `{words}`"), told).await
    }

    fn status(&self) -> (serde_json::Value, String) {
        let json = self.device.run(&["status", "--json"]).stdout;
        let text = self.device.run(&["status"]).stdout;
        (
            serde_json::from_slice(&json).unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }

    /// Who asked for something.
    fn peers(&self, what: &str) -> Vec<IpAddr> {
        let asked = self.network.asked();
        let of_it = asked.iter().filter(|asked| asked.is_for(what));
        of_it.map(|asked| asked.peer).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_link_is_used_where_the_first_does_not_connect() {
    let links = DEAD.to_owned() + &link("cable", "ethernet", THIRD, "");
    let mut case = Case::new(&links, |_| Mischief::None).await;
    let (attempt, _) = case.offer();
    case.device.start();
    case.succeeds(attempt).await;
    let third: IpAddr = THIRD.parse().unwrap();
    assert!(case.peers("/").iter().all(|peer| *peer == third));
    let check_in = case.last_check_in().await;
    let metadata = check_in.metadata.unwrap();
    assert_eq!(metadata["link"], "cable");
    assert_eq!(metadata["link_kind"], "ethernet");
    assert!(!metadata.contains_key("link_cost"), "{metadata:?}");
    assert_eq!(check_in.conditions.is_metered, Some(false));
    let (json, text) = case.status();
    assert_eq!(json["link"]["in_use"]["name"], "cable");
    assert!(text.contains("cable (ethernet)"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_swallows_everything_is_left() {
    let links = link("swamp", "wifi", SECOND, "") + &link("cable", "ethernet", THIRD, "");
    let swamp: IpAddr = SECOND.parse().unwrap();
    let mut case = Case::new(&links, move |asked| {
        if asked.peer == swamp {
            Mischief::Stall(0)
        } else {
            Mischief::None
        }
    })
    .await;
    let (attempt, _) = case.offer();
    case.device.start();
    case.succeeds(attempt).await;
    assert!(case.peers("/").contains(&swamp), "it was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_too_much_waits_for_a_better_link_and_says_so() {
    let metered = "is_metered = true\nprice_per_mib = 1\n[metered]\nmax_cost = 0.1";
    let links = link("wifi", "wifi", THIRD, "") + &link("lte", "cellular", SECOND, metered);
    let mut case = Case::new(&links, |_| Mischief::None).await;
    let (attempt, release) = case.offer();
    // The artifact is at a place that wifi doesn't get to yet.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let store = socket.local_addr().unwrap();
    case.server.fleet().offers[0].artifact.url = format!("http://{store}/artifact");
    case.device.start();
    let told = case.told("waits for a better link: ").await;
    assert!(told.contains("`metered.max_cost`"), "{told}");
    assert!(told.contains("`wifi` doesn't connect"), "{told}");
    let (json, text) = case.status();
    assert!(
        json["link"]["waits"].is_string() && text.contains("`wifi` doesn't connect"),
        "{json}, {text}"
    );
    assert!(case.server.fleet().end_of(attempt).is_none());
    let store = Network::on(socket.listen(16).unwrap(), "", move |_| {
        Mischief::Give(release.bytes.clone())
    });
    case.succeeds(attempt).await;
    let third: IpAddr = THIRD.parse().unwrap();
    let peers: Vec<IpAddr> = store.asked().iter().map(|asked| asked.peer).collect();
    assert_eq!(peers, [third], "not a byte of it went over what costs");
    let (json, _) = case.status();
    assert!(json["link"]["waits"].is_null(), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_cost_is_fetched_and_its_price_is_told() {
    for (policy, required) in [("[metered]\nmax_cost = 0.5", false), ("", true)] {
        let metered = format!("is_metered = true\nprice_per_mib = 1\n{policy}");
        let links = DEAD.to_owned() + &link("lte", "cellular", SECOND, &metered);
        let mut case = Case::new(&links, |_| Mischief::None).await;
        case.publisher.required = required;
        let (attempt, release) = case.offer();
        case.device.start();
        case.succeeds(attempt).await;
        let told = case.told("bytes over `lte` cost about 0.").await;
        assert!(told.starts_with(&release.bytes.len().to_string()), "{told}");
        let check_in = case.last_check_in().await;
        let cost: f64 = check_in.metadata.unwrap()["link_cost"].parse().unwrap();
        let least = release.bytes.len() as f64 / f64::from(1 << 20);
        assert!(cost > 0.95 * least && cost < 2.0 * least, "{cost}, {least}");
        assert_eq!(check_in.conditions.is_metered, Some(true));
        let (json, text) = case.status();
        let kept = json["link"]["in_use"]["cost"].as_f64().unwrap();
        assert!(kept > least && text.contains("metered), cost 0."), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_link_says_that_there_is_something_and_fetches_nothing() {
    let links = link("lora", "lora", SECOND, "trigger_only = true");
    let mut case = Case::new(&links, |_| Mischief::None).await;
    let (attempt, _) = case.offer();
    case.device.start();
    let begun = || {
        let attempt = case.device.journal().attempt?;
        let (json, _) = case.status();
        let waits = json["link"]["waits"].as_str()?.to_owned();
        Some((attempt.offer.attempt, waits))
    };
    let (begun, waits) = eventually("the attempt to wait for a link", begun).await;
    assert_eq!(begun, attempt);
    assert!(waits.contains("check-ins and reports only"), "{waits}");
    assert!(case.peers("/trust/").is_empty() && case.peers("/artifacts/").is_empty());
    assert!(!case.peers("/check-in").is_empty());
}

/// A device whose server has a name that nobody knows, and a proxy that does.
async fn behind_a_proxy(configure: impl FnOnce(&mut Device, &str)) {
    const NAME: &str = "http://server.otter.invalid";
    let server = Server::start().await;
    let proxy = Network::start(&server.address, |_| Mischief::None).await;
    let mut device = Device::new(&server.at(NAME));
    device.env("NO_PROXY", "elsewhere.otter.invalid");
    configure(&mut device, &proxy.address);
    let mut publisher = Publisher::new();
    let release = publisher.release("1.1.0", &device.tree("1.1.0", false));
    server.fleet().files = publisher.files.clone();
    let attempt = server.offer(&release);
    device.start();
    let end = server.end_of(attempt).await;
    assert_eq!(end.state, AttemptState::Succeeded, "{:?}", end.message);
    for asked in proxy.asked() {
        assert!(asked.target.starts_with(NAME), "{}", asked.target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_configuration_is_used() {
    behind_a_proxy(|device, proxy| {
        device.edit("state_dir", &format!("proxy = \"{proxy}\"\nstate_dir"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_environment_is_used() {
    behind_a_proxy(|device, proxy| {
        device.env("HTTP_PROXY", proxy);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_proxy_gets_none() {
    for is_configured in [true, false] {
        let server = Server::start().await;
        let proxy = Network::start(&server.address, |_| Mischief::None).await;
        let mut device = Device::new(&server);
        device.env("NO_PROXY", "127.0.0.1");
        if is_configured {
            let address = &proxy.address;
            device.edit("state_dir", &format!("proxy = \"{address}\"\nstate_dir"));
        } else {
            device.env("HTTP_PROXY", &proxy.address);
        }
        device.start();
        let checks_in = || (!server.fleet().check_ins.is_empty()).then_some(());
        eventually("a check-in", checks_in).await;
        assert!(proxy.asked().is_empty());
    }
}
