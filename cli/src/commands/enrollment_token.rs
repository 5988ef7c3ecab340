//! `otter enrollment-token`: makes and takes back the tokens that let devices in.

use clap::{Args, Subcommand};
use otter_protocol::admin::{self, NewEnrollmentToken, WithSecret};
use otter_protocol::{GroupName, Model};
use serde_json::json;

use crate::output::Table;
use crate::text::now;
use crate::{Context, Failure};

/// Makes and takes back the tokens that let devices in.
#[derive(Debug, Subcommand)]
pub enum EnrollmentToken {
    /// Makes a token and prints it, this once.
    Create(Create),
    /// Lists tokens.
    List,
    /// Takes a token back; devices that it let in stay.
    Revoke {
        /// Its number.
        id: i64,
    },
}

/// Makes a token.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for, to people.
    #[arg(long)]
    name: String,
    /// How many devices it lets in; without one, any number.
    #[arg(long, value_name = "N")]
    quota: Option<u32>,
    /// Days until it ends; without a number, never.
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u32>,
    /// Model that it lets in, may be repeated; without one, any.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<Model>,
    /// Group that it puts devices in.
    #[arg(long)]
    group: Option<GroupName>,
}

impl EnrollmentToken {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Create(create) => {
                let made: WithSecret<admin::EnrollmentToken> =
                    client.post(&["enrollment-tokens"], &create.spec()).await?;
                context
                    .output
                    .note("The token is shown only now; the server keeps a hash of it.");
                context
                    .output
                    .value(&made, |output| output.line(&made.secret))
            }
            Self::List => show(context, &client.get(&["enrollment-tokens"]).await?),
            Self::Revoke { id } => {
                let id = id.to_string();
                client.delete(&["enrollment-tokens", &id]).await?;
                context.output.value(&json!({ "revoked": id }), |output| {
                    output.line(format!("Token {id} lets no device in any more."))
                })
            }
        }
    }
}

impl Create {
    fn spec(self) -> NewEnrollmentToken {
        let expires_at = self
            .expires_days
            .map(|days| now().plus_sec(u64::from(days) * 86_400));
        NewEnrollmentToken {
            name: self.name,
            quota: self.quota,
            expires_at,
            models: self.models,
            group: self.group,
        }
    }
}

fn show(context: &Context, tokens: &Vec<admin::EnrollmentToken>) -> Result<(), Failure> {
    context.output.value(tokens, |output| {
        let mut table = Table::new(["id", "name", "used", "models", "group", "expires", "state"]);
        for token in tokens {
            let spec = &token.spec;
            let models: Vec<&str> = spec.models.iter().map(Model::as_str).collect();
            let used = match spec.quota {
                Some(quota) => format!("{} of {quota}", token.used),
                None => token.used.to_string(),
            };
            table.row([
                token.id.to_string(),
                spec.name.clone(),
                used,
                or_any(models.join(", ")),
                spec.group
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                spec.expires_at
                    .map_or("never".to_owned(), |at| at.to_string()),
                state(token).to_owned(),
            ]);
        }
        output.table(
            table,
            "No tokens. Make one with `otter enrollment-token create`.",
        )
    })
}

fn or_any(text: String) -> String {
    if text.is_empty() {
        "any".to_owned()
    } else {
        text
    }
}

fn state(token: &admin::EnrollmentToken) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.spec.expires_at.is_some_and(|end| end <= now()) {
        "expired"
    } else if token.spec.quota.is_some_and(|quota| token.used >= quota) {
        "used up"
    } else {
        "good"
    }
}
