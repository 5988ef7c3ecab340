//! What a link may carry.

use std::fmt;

use super::super::transport::Purpose;
use crate::config::{LinkConfig, MeteredPolicy, Money};

/// What an artifact's bytes cost on the link that they travel by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fare {
    /// The link.
    pub link: String,
    /// The bytes.
    pub bytes: u64,
    /// What they cost, where that is known.
    pub cost: Option<Money>,
}

impl fmt::Display for Fare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, bytes, cost } = self;
        match cost {
            Some(cost) => write!(f, "{bytes} bytes over `{link}` cost about {cost}"),
            None => write!(f, "{bytes} bytes over `{link}` cost nobody knows what"),
        }
    }
}

/// Whether a link may carry something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may.
    Yes,
    /// It may, at a price.
    At(Fare),
    /// It may not; the text says why.
    No(String),
}

/// Judges a link.
pub(super) fn verdict(link: &LinkConfig, purpose: Purpose, policy: &MeteredPolicy) -> Verdict {
    if link.trigger_only && purpose != Purpose::Talk {
        return Verdict::No(format!("`{}` is for check-ins and reports only", link.name));
    }
    let Purpose::Artifact(freight) = purpose else {
        return Verdict::Yes;
    };
    if !link.is_metered {
        return Verdict::Yes;
    }
    let price = link.price_per_mib;
    let fare = Fare {
        link: link.name.clone(),
        bytes: freight.bytes,
        cost: price.map(|price| Money::for_bytes(price, freight.bytes)),
    };
    let affordable = match (fare.cost, policy.max_cost) {
        (Some(cost), Some(most)) if cost <= most => Ok(()),
        (Some(_), Some(most)) => Err(format!("more than {most}, which is `metered.max_cost`")),
        (None, Some(_)) => Err("set the link's `price_per_mib`".to_owned()),
        (_, None) => Err("`[metered]` doesn't allow it".to_owned()),
    };
    match affordable {
        Err(why) if !policy.allow && !freight.is_required => Verdict::No(format!("{fare}: {why}")),
        _ => Verdict::At(fare),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transport::Freight;
    use super::*;

    fn link(more: &str) -> LinkConfig {
        toml::from_str(&format!("name = \"lte\"\n{more}")).unwrap()
    }

    fn policy(text: &str) -> MeteredPolicy {
        toml::from_str(text).unwrap()
    }

    fn artifact(bytes: u64, is_required: bool) -> Purpose {
        Purpose::Artifact(Freight { bytes, is_required })
    }

    /// The verdict in a word or two.
    fn word(verdict: Verdict) -> String {
        match verdict {
            Verdict::Yes => "yes".to_owned(),
            Verdict::At(fare) => format!(
                "at {}",
                fare.cost.map_or("?".to_owned(), |cost| cost.to_string())
            ),
            Verdict::No(why) => why,
        }
    }

    #[test]
    fn links_carry_what_they_may() {
        const MIB: u64 = 1 << 20;
        let free = "";
        let trigger = "trigger_only = true";
        let metered = "is_metered = true";
        let priced = "is_metered = true\nprice_per_mib = 0.5";
        let (talk, trust) = (Purpose::Talk, Purpose::Trust);
        let (small, large) = (artifact(MIB, false), artifact(10 * MIB, false));
        let (required, nothing) = (artifact(10 * MIB, true), artifact(0, false));
        let (none, most, all) = ("", "max_cost = 1", "allow = true");
        let table = [
            (free, large, none, "yes"),
            (trigger, talk, none, "yes"),
            (trigger, trust, all, "check-ins and reports only"),
            (trigger, small, all, "check-ins and reports only"),
            (trigger, required, all, "check-ins and reports only"),
            (priced, talk, none, "yes"),
            (priced, trust, none, "yes"),
            (priced, small, none, "`[metered]` doesn't allow it"),
            (priced, small, most, "at 0.5"),
            (priced, nothing, most, "at 0"),
            (priced, large, most, "cost about 5: more than 1"),
            (priced, large, "max_cost = 5", "at 5"),
            (priced, large, all, "at 5"),
            (priced, required, none, "at 5"),
            (metered, small, none, "`[metered]` doesn't allow it"),
            (metered, small, most, "set the link's `price_per_mib`"),
            (metered, small, all, "at ?"),
            (metered, required, none, "at ?"),
        ];
        for (about, purpose, rule, words) in table {
            let is = word(verdict(&link(about), purpose, &policy(rule)));
            assert!(
                is.contains(words),
                "{about}, {purpose:?}, {rule}: {is}, not {words}"
            );
        }
    }
}
