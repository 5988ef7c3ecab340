use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::super::transport::Freight;
use super::*;
use crate::disk::SimulatedDisk;

const MIB: u64 = 1 << 20;
/// The longest that a link rests, by the configuration below.
const LONGEST_REST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Works,
    Dead,
    Silent,
    Reset,
    Busy,
    SilentBody,
    CutBody,
}

/// A link that does as it is told.
#[derive(Debug, Clone)]
struct Fake {
    how: Arc<Mutex<How>>,
    asked: Arc<AtomicUsize>,
}

impl Fake {
    fn is(&self, how: How) {
        *self.how.lock().unwrap() = how;
    }

    /// How often it was asked since this was called last.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, _: Request) -> Result<Answer, NetError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let how = *self.how.lock().unwrap();
        let status = match how {
            How::Dead => return Err(NetError::Unconnected("no carrier".to_owned())),
            How::Silent => return Err(NetError::Silent("not a word".to_owned())),
            How::Reset => return Err(NetError::Unreachable("reset".to_owned())),
            How::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        Ok(Answer {
            status,
            headers: HeaderMap::new(),
            body: Box::new(FakeBody(how, 1)),
        })
    }
}

struct FakeBody(How, usize);

#[async_trait]
impl Body for FakeBody {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        if self.1 > 0 {
            self.1 -= 1;
            return Ok(Some(Bytes::from(vec![0; MIB as usize])));
        }
        match self.0 {
            How::SilentBody => Err(NetError::Silent("not a word".to_owned())),
            How::CutBody => Err(NetError::Unreachable("cut".to_owned())),
            _ => Ok(None),
        }
    }
}

struct Case {
    disk: Arc<SimulatedDisk>,
    config: Config,
    wifi: Fake,
    lte: Fake,
    links: Links,
}

impl Case {
    /// Two links, both working: `wifi`, and `lte` with more configuration behind it.
    fn new(more: &str) -> Self {
        let text = format!(
            "server = \"http://127.0.0.1\"\ndevice_id = \"d\"\nmodel = \"m\"\nstate_dir = \"/state\"\n\
             [retry]\nbase_sec = 1\nmax_sec = 60\n[bundle]\nroot = \"/root\"\n\
             [[link]]\nname = \"wifi\"\nkind = \"wifi\"\n\
             [[link]]\nname = \"lte\"\nkind = \"cellular\"\n{more}"
        );
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let disk = Arc::new(SimulatedDisk::default());
        crate::disk::make_dirs(disk.as_ref(), &config.state_dir).unwrap();
        let fake = || Fake {
            how: Arc::new(Mutex::new(How::Works)),
            asked: Arc::default(),
        };
        let (wifi, lte) = (fake(), fake());
        let links = Self::links(&config, &disk, [&wifi, &lte]);
        Self {
            disk,
            config,
            wifi,
            lte,
            links,
        }
    }

    fn links(config: &Config, disk: &Arc<SimulatedDisk>, fakes: [&Fake; 2]) -> Links {
        let links = config.link.iter().cloned().zip(fakes).map(|(link, fake)| {
            let transport: Box<dyn Transport> = Box::new(fake.clone());
            (link, transport)
        });
        Links::new(links.collect(), config, disk.clone())
    }

    /// The agent is started anew.
    fn restart(&mut self) {
        self.links = Self::links(&self.config, &self.disk, [&self.wifi, &self.lte]);
    }

    async fn send(&self, purpose: Purpose) -> Result<Answer, NetError> {
        let request = Request {
            method: Method::GET,
            url: "http://127.0.0.1/".parse().unwrap(),
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            purpose,
        };
        self.links.send(request).await
    }

    async fn talk(&self) -> Result<Answer, NetError> {
        self.send(Purpose::Talk).await
    }

    /// Fetches a MiB, whole.
    async fn fetch(&self) -> Result<Option<Fare>, NetError> {
        let mut answer = self.send(artifact(MIB, false)).await?;
        while answer.body.next().await?.is_some() {}
        Ok(answer.body.fare().cloned())
    }

    fn asked(&self) -> (usize, usize) {
        (self.wifi.asked(), self.lte.asked())
    }

    fn in_use(&self) -> String {
        self.links.link().unwrap().name
    }

    fn status(&self) -> LinkStatus {
        status(&self.config, self.disk.as_ref()).unwrap()
    }
}

fn artifact(bytes: u64, is_required: bool) -> Purpose {
    Purpose::Artifact(Freight { bytes, is_required })
}

#[tokio::test(start_paused = true)]
async fn the_best_link_that_connects_is_used_until_a_better_one_is_back() {
    let case = Case::new("");
    case.talk().await.unwrap();
    assert_eq!(case.asked(), (1, 0));
    case.wifi.is(How::Dead);
    case.talk().await.unwrap();
    assert_eq!(case.asked(), (1, 1), "the same request goes by the next");
    assert_eq!(case.in_use(), "lte");
    for _ in 0..20 {
        case.talk().await.unwrap();
        tokio::time::advance(LONGEST_REST).await;
    }
    let (wifi, lte) = case.asked();
    assert_eq!(lte, 20);
    assert!((19..=20).contains(&wifi), "{wifi} probes");
    // What keeps failing rests longer and longer: hundreds of requests in a row are few probes.
    for _ in 0..200 {
        case.talk().await.unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let (wifi, lte) = case.asked();
    assert!(lte == 200 && wifi <= 5, "{wifi} probes");
    case.wifi.is(How::Works);
    tokio::time::advance(LONGEST_REST).await;
    case.talk().await.unwrap();
    assert_eq!((case.asked(), case.in_use()), ((1, 0), "wifi".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_answers_is_the_answer() {
    let case = Case::new("");
    case.wifi.is(How::Busy);
    for _ in 0..3 {
        let answer = case.talk().await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(case.asked(), (3, 0));
    case.wifi.is(How::Reset);
    assert!(case.talk().await.is_err());
    assert!(case.talk().await.is_err());
    assert_eq!(
        case.asked(),
        (2, 0),
        "a reset may be the server's, and nothing is sent twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_not_asked_first_again() {
    let case = Case::new("");
    for how in [How::Silent, How::SilentBody] {
        case.wifi.is(how);
        assert!(case.fetch().await.is_err());
        assert_eq!(case.asked(), (1, 0), "a request stays on its link");
        case.fetch().await.unwrap();
        assert_eq!(case.asked(), (0, 1));
        tokio::time::advance(LONGEST_REST).await;
    }
    case.wifi.is(How::CutBody);
    assert!(case.fetch().await.is_err());
    assert!(case.fetch().await.is_err());
    assert_eq!(case.asked(), (2, 0), "a cut says nothing of the link");
}

#[tokio::test(start_paused = true)]
async fn where_no_link_connects_each_is_tried_and_named() {
    let case = Case::new("");
    case.wifi.is(How::Dead);
    case.lte.is(How::Dead);
    for _ in 0..3 {
        let error = case.talk().await.unwrap_err();
        assert!(matches!(error, NetError::Unconnected(_)));
        let text = error.to_string();
        assert!(text.contains("`wifi`") && text.contains("`lte`"), "{text}");
    }
    assert_eq!(case.asked(), (3, 3), "nothing else is left to try");
}

#[tokio::test(start_paused = true)]
async fn what_costs_too_much_waits_for_a_better_link() {
    let case = Case::new("is_metered = true\nprice_per_mib = 0.5\n[metered]\nmax_cost = 0.4\n");
    case.wifi.is(How::Dead);
    for _ in 0..3 {
        let error = case.fetch().await.unwrap_err();
        assert!(!error.is_final());
        assert_eq!(
            error.to_string(),
            "no link may carry this now: 1048576 bytes over `lte` cost about 0.5: more than 0.4, which is \
             `metered.max_cost`; `wifi` doesn't connect"
        );
    }
    assert_eq!(case.asked(), (3, 0));
    assert!(case.status().waits.unwrap().contains("`metered.max_cost`"));
    // Talk goes on meanwhile, and doesn't end the wait.
    tokio::time::advance(LONGEST_REST).await;
    case.talk().await.unwrap();
    case.send(Purpose::Trust).await.unwrap();
    assert_eq!(case.in_use(), "lte");
    let half = case.send(artifact(MIB / 2, false)).await.unwrap();
    assert_eq!(half.body.fare().unwrap().cost.unwrap().to_string(), "0.25");
    let required = case.send(artifact(MIB, true)).await.unwrap();
    assert_eq!(
        required.body.fare().unwrap().cost.unwrap().to_string(),
        "0.5"
    );
    assert!(case.fetch().await.is_err());
    case.wifi.is(How::Works);
    tokio::time::advance(LONGEST_REST).await;
    assert_eq!(case.fetch().await.unwrap(), None);
    assert!(case.status().waits.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_trigger_link_carries_talk_alone() {
    let case = Case::new("trigger_only = true\n[metered]\nallow = true\n");
    case.wifi.is(How::Dead);
    case.talk().await.unwrap();
    assert_eq!(case.asked(), (1, 1));
    for purpose in [Purpose::Trust, artifact(1, true)] {
        let error = case.send(purpose).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("check-ins and reports only"), "{text}");
    }
    assert_eq!(case.asked(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn costs_are_counted_and_outlive_the_agent() {
    let mut case = Case::new("is_metered = true\nprice_per_mib = 0.5\n[metered]\nallow = true\n");
    assert!(case.links.link().is_none(), "nothing was used yet");
    case.fetch().await.unwrap();
    assert_eq!(case.links.link().unwrap().cost, None, "wifi is free");
    case.wifi.is(How::Dead);
    let fare = case.fetch().await.unwrap().unwrap();
    assert_eq!(fare.to_string(), "1048576 bytes over `lte` cost about 0.5");
    let cost = case.links.link().unwrap().cost.unwrap();
    assert_eq!(cost.roughly().to_string(), "0.5");
    assert_eq!(case.status().in_use.unwrap().cost, Some(cost));
    case.restart();
    let link = case.links.link().unwrap();
    assert_eq!((link.name.as_str(), link.cost), ("lte", Some(cost)));
    case.fetch().await.unwrap();
    let cost = case.links.link().unwrap().cost.unwrap();
    assert_eq!(cost.roughly().to_string(), "1");
}
