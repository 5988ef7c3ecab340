//! `otter webhook`: tells other programs of rollouts and attempts.

use clap::{Args, Subcommand, ValueEnum};
use otter_protocol::RolloutId;
use otter_protocol::admin::{
    self, DeliveryFilter, DeliveryState, NewWebhook, Page, WebhookDelivery, WebhookPatch,
    WithSecret,
};
use serde_json::json;

use crate::output::Table;
use crate::{Context, Failure};

/// Tells other programs of rollouts and attempts.
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Makes a webhook and prints the secret that signs what it is sent, this once.
    Create(Create),
    /// Lists webhooks.
    List,
    /// Changes a webhook, turns it off or on.
    Change(Change),
    /// Takes a webhook away, with what waits for it and its log.
    Delete {
        /// Its number.
        id: i64,
    },
    /// Gives a webhook another secret and prints it, this once; for 24 hours the one before signs, too.
    Rotate {
        /// Its number.
        id: i64,
    },
    /// Sends a webhook a ping.
    Test {
        /// Its number.
        id: i64,
    },
    /// Lists what a webhook was sent, and how that went, the newest first.
    Deliveries(Deliveries),
    /// Has a delivery tried again at once, and for another 24 hours.
    Redeliver {
        /// Its number.
        delivery: i64,
    },
}

/// Makes a webhook.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for, to people.
    #[arg(long)]
    name: String,
    /// Where notices go, https://… or http://….
    #[arg(long)]
    url: String,
    /// What it hears of, may be repeated: rollout.paused, attempt.failed, or a beginning and a * for all that begin so.
    #[arg(long = "event", value_name = "EVENT", default_value = "rollout.*")]
    events: Vec<String>,
}

/// What is to be different.
#[derive(Debug, Args)]
pub struct Change {
    /// Its number.
    id: i64,
    /// What it is for, to people.
    #[arg(long)]
    name: Option<String>,
    /// Where notices go.
    #[arg(long)]
    url: Option<String>,
    /// All that it hears of, may be repeated.
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Tells it nothing for now; what waits is kept for its 24 hours.
    #[arg(long, conflicts_with = "on")]
    off: bool,
    /// Tells it again.
    #[arg(long)]
    on: bool,
}

/// Which deliveries to list.
#[derive(Debug, Args)]
pub struct Deliveries {
    /// The webhook's number.
    id: i64,
    /// Only those in a state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those about a rollout.
    #[arg(long, value_name = "NUMBER")]
    rollout: Option<RolloutId>,
    /// Where to begin: what the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// Most deliveries, 1 to 500.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

/// Where deliveries are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    /// To be tried, for the first time or again.
    Waiting,
    /// Answered by 2xx.
    Delivered,
    /// Failed for 24 hours.
    GivenUp,
}

impl Webhook {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let nothing = json!({});
        match self {
            Self::Create(create) => {
                let made = client.post(&["webhooks"], &create.spec()).await?;
                show_secret(context, &made)
            }
            Self::List => show(context, &client.get(&["webhooks"]).await?),
            Self::Change(change) => {
                let id = change.id.to_string();
                let patch = change.patch()?;
                let hook: admin::Webhook = client.patch(&["webhooks", &id], &patch).await?;
                show(context, &vec![hook])
            }
            Self::Delete { id } => {
                let id = id.to_string();
                client.delete(&["webhooks", &id]).await?;
                context.output.value(&json!({ "deleted": id }), |output| {
                    output.line(format!("Webhook {id} is told nothing any more."))
                })
            }
            Self::Rotate { id } => {
                let path = ["webhooks", &id.to_string(), "rotate"];
                show_secret(context, &client.post(&path, &nothing).await?)
            }
            Self::Test { id } => {
                let path = ["webhooks", &id.to_string(), "test"];
                let sent: WebhookDelivery = client.post(&path, &nothing).await?;
                under_way(context, &sent)
            }
            Self::Deliveries(which) => {
                let path = ["webhooks", &which.id.to_string(), "deliveries"];
                let page = client.get_with(&path, &which.filter()).await?;
                show_deliveries(context, &page)
            }
            Self::Redeliver { delivery } => {
                let path = ["webhooks", "deliveries", &delivery.to_string(), "redeliver"];
                let again: WebhookDelivery = client.post(&path, &nothing).await?;
                under_way(context, &again)
            }
        }
    }
}

impl Create {
    fn spec(self) -> NewWebhook {
        NewWebhook {
            name: self.name,
            url: self.url,
            events: self.events,
            enabled: true,
        }
    }
}

impl Change {
    fn patch(self) -> Result<WebhookPatch, Failure> {
        let patch = WebhookPatch {
            name: self.name,
            url: self.url,
            events: Some(self.events).filter(|events| !events.is_empty()),
            enabled: (self.on || self.off).then_some(self.on),
        };
        if patch == WebhookPatch::default() {
            let what = "say what is to be different: --name, --url, --event, --on or --off";
            return Err(Failure::Usage(what.to_owned()));
        }
        Ok(patch)
    }
}

impl Deliveries {
    fn filter(self) -> DeliveryFilter {
        DeliveryFilter {
            state: self.state.map(|state| match state {
                State::Waiting => DeliveryState::Waiting,
                State::Delivered => DeliveryState::Delivered,
                State::GivenUp => DeliveryState::GivenUp,
            }),
            rollout: self.rollout,
            cursor: self.cursor,
            limit: Some(self.limit),
        }
    }
}

fn show_secret(context: &Context, made: &WithSecret<admin::Webhook>) -> Result<(), Failure> {
    let id = made.made.id;
    context.output.note(format!(
        "The secret of webhook {id} is shown only now; its receiver checks Otter-Signature with it."
    ));
    context
        .output
        .value(made, |output| output.line(&made.secret))
}

fn show(context: &Context, hooks: &Vec<admin::Webhook>) -> Result<(), Failure> {
    context.output.value(hooks, |output| {
        let mut table = Table::new(["id", "name", "url", "events", "state"]);
        for hook in hooks {
            let state = if hook.spec.enabled { "on" } else { "off" };
            table.row([
                hook.id.to_string(),
                hook.spec.name.clone(),
                hook.spec.url.clone(),
                hook.spec.events.join(", "),
                state.to_owned(),
            ]);
        }
        output.table(table, "No webhooks. Make one with `otter webhook create`.")
    })
}

fn under_way(context: &Context, delivery: &WebhookDelivery) -> Result<(), Failure> {
    context.output.value(delivery, |output| {
        let WebhookDelivery { id, webhook, .. } = delivery;
        output.line(format!(
            "Delivery {id} is under way; `otter webhook deliveries {webhook}` shows how it went."
        ))
    })
}

fn show_deliveries(context: &Context, page: &Page<WebhookDelivery>) -> Result<(), Failure> {
    context.output.value(page, |output| {
        let mut table = Table::new([
            "id", "time", "event", "rollout", "state", "tries", "status", "ms", "why",
        ]);
        for delivery in &page.items {
            table.row([
                delivery.id.to_string(),
                delivery.created_at.to_string(),
                delivery.event.clone(),
                or_nothing(delivery.rollout),
                state(delivery),
                delivery.tries.to_string(),
                or_nothing(delivery.status),
                or_nothing(delivery.took_ms),
                or_nothing(delivery.error.as_ref()),
            ]);
        }
        output.table(table, "No deliveries.")?;
        if let Some(next) = &page.next {
            output.note(format!("There is more: --cursor {next}"));
        }
        Ok(())
    })
}

fn state(delivery: &WebhookDelivery) -> String {
    match delivery.next_at.filter(|_| delivery.tries > 0) {
        Some(next) => format!("again at {next}"),
        None => delivery.state.to_string().replace('_', " "),
    }
}

fn or_nothing(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
