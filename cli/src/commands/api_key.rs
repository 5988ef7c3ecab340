//! `otter api-key`: makes and takes back the keys that programs call the server with.

use clap::{Args, Subcommand};
use otter_protocol::admin::{self, NewApiKey, Role, Scope, WithSecret};
use otter_protocol::{GroupName, Model};
use serde_json::json;

use crate::output::Table;
use crate::text::now;
use crate::{Context, Failure};

/// Makes and takes back the keys that programs call the server with.
#[derive(Debug, Subcommand)]
pub enum ApiKey {
    /// Makes a key and prints it, this once.
    Create(Create),
    /// Lists keys.
    List,
    /// Takes a key back, at once.
    Revoke {
        /// Its number.
        id: i64,
    },
}

/// Makes a key.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for, to people.
    #[arg(long)]
    name: String,
    /// What it may do: viewer, operator, approver or admin.
    #[arg(long, value_parser = role)]
    role: Role,
    /// Days until it ends; without a number, never.
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u32>,
    /// Group whose members it reaches, may be repeated; without one, devices of every group and of none.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    /// Model that it reaches, may be repeated; without one, every model.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<Model>,
}

fn role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| {
        let names = Role::ALL.map(Role::as_str);
        format!("there is no such role; choose one of {}", names.join(", "))
    })
}

impl ApiKey {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        match self {
            Self::Create(create) => {
                let made: WithSecret<admin::ApiKey> =
                    client.post(&["api-keys"], &create.spec()).await?;
                context.output.note(format!(
                    "The key is shown only now; the server keeps a hash of it. It reaches {}.",
                    made.made.spec.scope
                ));
                context
                    .output
                    .value(&made, |output| output.line(&made.secret))
            }
            Self::List => show(context, &client.get(&["api-keys"]).await?),
            Self::Revoke { id } => {
                let id = id.to_string();
                client.delete(&["api-keys", &id]).await?;
                context.output.value(&json!({ "revoked": id }), |output| {
                    output.line(format!("Key {id} doesn't count any more."))
                })
            }
        }
    }
}

impl Create {
    fn spec(self) -> NewApiKey {
        let expires_at = self
            .expires_days
            .map(|days| now().plus_sec(u64::from(days) * 86_400));
        NewApiKey {
            name: self.name,
            role: self.role,
            expires_at,
            scope: Scope {
                groups: self.groups,
                models: self.models,
            },
        }
    }
}

fn show(context: &Context, keys: &Vec<admin::ApiKey>) -> Result<(), Failure> {
    context.output.value(keys, |output| {
        let mut table = Table::new([
            "id",
            "name",
            "role",
            "reaches",
            "last used",
            "expires",
            "state",
        ]);
        for key in keys {
            let spec = &key.spec;
            let or_never = |at: Option<otter_protocol::Timestamp>| {
                at.map_or_else(|| "never".to_owned(), |at| at.to_string())
            };
            table.row([
                key.id.to_string(),
                spec.name.clone(),
                spec.role.as_str().to_owned(),
                spec.scope.to_string(),
                or_never(key.last_used_at),
                or_never(spec.expires_at),
                state(key).to_owned(),
            ]);
        }
        output.table(table, "No keys. Make one with `otter api-key create`.")
    })
}

fn state(key: &admin::ApiKey) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.spec.expires_at.is_some_and(|end| end <= now()) {
        "expired"
    } else {
        "good"
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: ApiKey,
    }

    fn asked(line: &str) -> serde_json::Value {
        let line = Line::try_parse_from(line.split(' ')).unwrap();
        let ApiKey::Create(create) = line.command else {
            panic!("{line:?}");
        };
        serde_json::to_value(create.spec()).unwrap()
    }

    #[test]
    fn a_key_is_asked_for_with_its_scope() {
        let line =
            "otter create --name ci --role operator --model rpi4 --model rpi5 --group canary";
        let scope = json!({"groups": ["canary"], "models": ["rpi4", "rpi5"]});
        assert_eq!(
            asked(line),
            json!({"name": "ci", "role": "operator", "expires_at": null, "scope": scope})
        );
        assert_eq!(
            asked("otter create --name ci --role viewer"),
            json!({"name": "ci", "role": "viewer", "expires_at": null})
        );
    }

    #[test]
    fn roles_are_named_where_there_is_no_such_one() {
        let line = "otter create --name ci --role root";
        let error = Line::try_parse_from(line.split(' ')).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("viewer, operator, approver, admin"),
            "{error}"
        );
    }
}
