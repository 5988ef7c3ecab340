//! A simulated device: what it does with an offer, and what it says of it.

use otter_protocol::check_in::Offer;
use otter_protocol::device::Pairs;
use otter_protocol::{AttemptReport, AttemptState, Timestamp, Version};

/// How a device behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Updates and says so.
    Good,
    /// Comes back on its old version each time.
    Failing,
    /// Fails once, then succeeds.
    Flapping,
    /// Is never heard of again once it was offered something.
    Silent,
    /// Says how it went long after its deadline.
    Late,
    /// Says that it succeeded while it still runs the old version, repeats itself, and mixes up the order.
    Lying,
}

/// A device on its own.
#[derive(Debug)]
pub(crate) struct SimulatedDevice {
    pub(crate) token: String,
    pub(crate) nature: Nature,
    pub(crate) version: Version,
    pub(crate) metadata: Pairs,
    pub(crate) offer: Option<Offer>,
    /// What it is going to say, in this order, each at its time.
    pub(crate) script: Vec<(Timestamp, AttemptReport)>,
    /// Attempts that it ended as it should.
    pub(crate) succeeded: u32,
    failed_before: bool,
    pub(crate) is_gone: bool,
}

impl SimulatedDevice {
    pub(crate) fn new(token: String, nature: Nature) -> Self {
        Self {
            token,
            nature,
            version: "1.0.0".into(),
            metadata: Pairs::new(),
            offer: None,
            script: Vec::new(),
            succeeded: 0,
            failed_before: false,
            is_gone: false,
        }
    }

    /// Takes an offer; one that it knows already changes nothing.
    pub(crate) fn take(&mut self, offer: Offer, now: Timestamp, deadline_sec: u64) {
        let is_known = self
            .offer
            .as_ref()
            .is_some_and(|known| known.attempt == offer.attempt);
        if is_known {
            return;
        }
        self.script = self.script_for(&offer, now, deadline_sec);
        self.offer = Some(offer);
    }

    /// Gives up what it was at.
    pub(crate) fn drop_offer(&mut self) {
        self.offer = None;
        self.script.clear();
    }

    fn script_for(
        &mut self,
        offer: &Offer,
        now: Timestamp,
        deadline_sec: u64,
    ) -> Vec<(Timestamp, AttemptReport)> {
        use AttemptState::{Downloading, RolledBack, Succeeded};
        let fails = match self.nature {
            Nature::Failing => true,
            Nature::Flapping => !std::mem::replace(&mut self.failed_before, true),
            _ => false,
        };
        let end = if fails { RolledBack } else { Succeeded };
        let delay = match self.nature {
            Nature::Silent => {
                self.is_gone = true;
                return vec![(now.plus_sec(20), said(1, Downloading, None))];
            }
            Nature::Late => deadline_sec * 2,
            _ => 0,
        };
        let version = Some(offer.version.clone());
        let mut script = vec![
            (now.plus_sec(20), said(1, Downloading, None)),
            (now.plus_sec(120 + delay), said(4, end, version)),
        ];
        if self.nature == Nature::Lying {
            script.insert(1, (now.plus_sec(30), said(9, Succeeded, None)));
            script.insert(2, (now.plus_sec(80), said(1, Downloading, None)));
            script.push((now.plus_sec(130), said(5, RolledBack, None)));
        }
        script
    }
}

fn said(sequence: u32, state: AttemptState, version: Option<Version>) -> AttemptReport {
    let message = state.is_failure().then(|| "health: no answer".to_owned());
    AttemptReport {
        sequence,
        state,
        progress: None,
        message,
        version: version.filter(|_| state == AttemptState::Succeeded),
        at: None,
    }
}
