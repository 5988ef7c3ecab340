//! Several connections, in their order of preference.
//!
//! A link that doesn't connect, or falls silent, rests: others come first for a while, longer each time, and then it is tried
//! first again, by the next request that there is anyway. So a better link that comes back is found without any probing in
//! between. What a server answered, even a refusal, is the answer: no other link is asked.

mod choice;
mod in_use;
mod ledger;
mod link;
mod signal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::NetError;
use super::transport::{Answer, Body, HttpTransport, Purpose, Request, Transport, Wire};
use crate::config::{Config, LinkConfig, MeteredPolicy};
use crate::disk::Disk;
use choice::{Verdict, verdict};
use ledger::{Entry, Ledger};
use link::Link;

pub use choice::Fare;
pub use in_use::{LinkInUse, LinkStatus, status};

/// Makes the transport that a configuration asks for.
pub fn configured(config: &Config, disk: &Arc<dyn Disk>) -> Result<Arc<dyn Transport>, NetError> {
    if config.link.is_empty() {
        return Ok(Arc::new(HttpTransport::new(&Wire::of(config))));
    }
    let links = config.link.iter().map(|link| {
        let common = Wire::of(config);
        let wire = Wire {
            connect_timeout: link.probe_timeout().unwrap_or(common.connect_timeout),
            interface: link.interface.clone(),
            source: link.source,
            ..common
        };
        let transport: Box<dyn Transport> = Box::new(HttpTransport::new(&wire));
        Ok((link.clone(), transport))
    });
    let links = links.collect::<Result<Vec<_>, NetError>>()?;
    Ok(Arc::new(Links::new(links, config, disk.clone())))
}

/// Connections, in their order of preference.
#[derive(Debug)]
pub struct Links(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    links: Vec<Arc<Link>>,
    metered: MeteredPolicy,
    disk: Arc<dyn Disk>,
    ledger: Ledger,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Arc<Link>>,
    waits: Option<String>,
    /// The signal that was told last, and of which link.
    told: Option<(String, i32)>,
}

impl Links {
    /// Takes links with their transports, the best first.
    pub fn new(
        links: Vec<(LinkConfig, Box<dyn Transport>)>,
        config: &Config,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let (ledger, entry) = Ledger::open(disk.clone(), &config.state_dir);
        let links: Vec<Arc<Link>> = links
            .into_iter()
            .map(|(link, transport)| {
                let cost_before = entry.costs.get(&link.name).copied().unwrap_or_default();
                Arc::new(Link::new(link, transport, cost_before, config.retry))
            })
            .collect();
        let mut found = links.iter();
        let last = found.find(|link| Some(&link.config.name) == entry.link.as_ref());
        let state = State {
            last: last.cloned(),
            waits: entry.waits,
            told: None,
        };
        Self(Arc::new(Shared {
            links,
            metered: config.metered,
            disk,
            ledger,
            state: Mutex::new(state),
        }))
    }
}

/// A link that may carry something, and what that costs where it is metered.
struct Able<'a> {
    link: &'a Arc<Link>,
    fare: Option<Fare>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the links that may carry something, in the order to try them, and why the others may not.
    fn able(&self, purpose: Purpose) -> (Vec<Able<'_>>, Vec<String>) {
        let (mut able, mut refusals) = (Vec::new(), Vec::new());
        for link in &self.links {
            match verdict(&link.config, purpose, &self.metered) {
                Verdict::Yes => able.push(Able { link, fare: None }),
                Verdict::At(fare) => able.push(Able {
                    link,
                    fare: Some(fare),
                }),
                Verdict::No(why) => refusals.push(why),
            }
        }
        let now = Instant::now();
        // The sort is stable: what rests comes last, and otherwise the best comes first.
        able.sort_by_key(|able| !able.link.is_due(now));
        (able, refusals)
    }

    /// Notes that a link brought an answer.
    fn used(&self, link: &Arc<Link>, purpose: Purpose) {
        link.worked();
        let mut state = self.state();
        let before = state.last.replace(link.clone());
        if before.is_none_or(|before| !Arc::ptr_eq(&before, link)) {
            tracing::info!("link `{}` is in use", link.config.name);
        }
        if purpose != Purpose::Talk {
            state.waits = None;
        }
        drop(state);
        self.keep(false);
    }

    /// Notes that nothing could be sent, and returns that as an error.
    fn none(&self, failures: &[(&str, String)], mut reasons: Vec<String>) -> NetError {
        let join = |reasons: Vec<String>| reasons.join("; ");
        if reasons.is_empty() {
            let texts = failures
                .iter()
                .map(|(name, error)| format!("`{name}`: {error}"));
            return NetError::Unconnected(join(texts.collect()));
        }
        // Without the errors, so that the text stays the same while nothing changes.
        let dead = failures
            .iter()
            .map(|(name, _)| format!("`{name}` doesn't connect"));
        reasons.extend(dead);
        let why = join(reasons);
        self.state().waits = Some(why.clone());
        self.keep(false);
        NetError::NoLink(why)
    }

    fn keep(&self, due: bool) {
        let state = self.state();
        let links = self.links.iter();
        let costs = links.filter_map(|link| Some((link.config.name.clone(), link.cost()?)));
        let entry = Entry {
            link: state.last.as_ref().map(|link| link.config.name.clone()),
            waits: state.waits.clone(),
            costs: costs.collect::<BTreeMap<_, _>>(),
        };
        self.ledger.keep(entry, due);
    }
}

#[async_trait]
impl Transport for Links {
    async fn send(&self, request: Request) -> Result<Answer, NetError> {
        let (shared, purpose) = (&self.0, request.purpose);
        let (able, refusals) = shared.able(purpose);
        let mut failures = Vec::new();
        for Able { link, fare } in able {
            let answer = match link.transport.send(request.clone()).await {
                Err(error @ NetError::Unconnected(_)) => {
                    link.failed(&error);
                    failures.push((link.config.name.as_str(), error.to_string()));
                    continue;
                }
                Err(error) => {
                    link.carried(weight_of(&request));
                    if matches!(error, NetError::Silent(_)) {
                        link.failed(&error);
                    }
                    return Err(error);
                }
                Ok(answer) => answer,
            };
            link.carried(weight_of(&request) + head_weight(&answer.headers));
            shared.used(link, purpose);
            if let Some(fare) = &fare {
                tracing::info!("{fare}");
            }
            let body = Box::new(Carried {
                body: answer.body,
                shared: shared.clone(),
                link: link.clone(),
                is_large: matches!(purpose, Purpose::Artifact(_)),
                fare,
            });
            return Ok(Answer { body, ..answer });
        }
        Err(shared.none(&failures, refusals))
    }

    fn link(&self) -> Option<LinkInUse> {
        let mut state = self.0.state();
        let link = state.last.clone()?;
        let (config, cost) = (&link.config, link.cost());
        let interface = config.interface.as_deref();
        let signal = interface.and_then(|name| signal::signal_dbm(self.0.disk.as_ref(), name));
        let told = state.told.take().filter(|(name, _)| *name == config.name);
        let signal = signal.map(|now| signal::steady(told.map(|(_, dbm)| dbm), now));
        state.told = signal.map(|dbm| (config.name.clone(), dbm));
        Some(LinkInUse::new(config, signal, cost))
    }
}

/// A body on the link that it came by, to its end.
struct Carried {
    body: Box<dyn Body>,
    shared: Arc<Shared>,
    link: Arc<Link>,
    is_large: bool,
    fare: Option<Fare>,
}

#[async_trait]
impl Body for Carried {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        let next = self.body.next().await;
        match &next {
            Ok(Some(piece)) => self.link.carried(piece.len()),
            // A connection that was cut says nothing of the link: the next one will.
            Err(error @ NetError::Silent(_)) => self.link.failed(error),
            _ => {}
        }
        if self.is_large && !matches!(next, Ok(Some(_))) {
            self.shared.keep(true);
        }
        next
    }

    fn fare(&self) -> Option<&Fare> {
        self.fare.as_ref()
    }
}

/// Returns about how many bytes a request has on its way.
fn weight_of(request: &Request) -> usize {
    let line = request.method.as_str().len() + request.url.as_str().len();
    let body = request.body.as_ref().map_or(0, Vec::len);
    line + head_weight(&request.headers) + body
}

/// Returns about how many bytes headers have on their way.
fn head_weight(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = ": \r\n".len();
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS)
        .sum()
}

#[cfg(test)]
mod tests;
