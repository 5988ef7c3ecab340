//! `otter group`: named sets of devices, and when their members may update.

use std::str::FromStr as _;

use clap::{Args, Subcommand};
use otter_protocol::GroupName;
use otter_protocol::group::Group as Stored;
use otter_protocol::selector::Selector;
use otter_protocol::window::{Weekday, WeeklySpan, Window};

use crate::api::Client;
use crate::output::Table;
use crate::schedule::WindowArgs;
use crate::{Context, Failure, Output};

/// Named sets of devices, and when their members may update.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Lists groups.
    List,
    /// Shows a group.
    Show {
        /// Its name.
        name: GroupName,
    },
    /// Makes a group, or changes the one of that name; what isn't said stays as it is.
    Put(Box<Put>),
    /// Removes a group; its members by hand are in none afterwards.
    Delete {
        /// Its name.
        name: GroupName,
    },
}

/// A group to make or change.
#[derive(Debug, Args)]
pub struct Put {
    /// Its name.
    name: GroupName,
    /// What it is for, to people.
    #[arg(long)]
    description: Option<String>,
    /// Takes in devices by a selector, such as `location=warehouse,function!=sensor`; empty for none.
    #[arg(long)]
    selector: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// Lets its members update at any time again.
    #[arg(long, conflicts_with_all = ["spans", "freezes", "zone"])]
    no_window: bool,
}

impl Group {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let output = context.output;
        match self {
            Self::List => {
                let groups = list(&client).await?;
                output.value(&groups, |output| table(output, &groups))
            }
            Self::Show { name } => {
                let group = find(&client, &name).await?.ok_or_else(|| {
                    Failure::Refused(format!(
                        "the server has no group {name}. `otter group list` shows those that it has"
                    ))
                })?;
                output.value(&group, |output| show(output, &group))
            }
            Self::Put(put) => put.run(output, &client).await,
            Self::Delete { name } => {
                client.delete(&["groups", name.as_str()]).await?;
                output.value(&(), |output| output.line(format!("Group {name} is gone.")))
            }
        }
    }
}

impl Put {
    async fn run(self, output: Output, client: &Client) -> Result<(), Failure> {
        let before = find(client, &self.name).await?;
        let group = self.over(before)?;
        let path = ["groups", group.name.as_str()];
        let group: Stored = client.put(&path, &group).await?;
        output.value(&group, |output| show(output, &group))
    }

    /// Returns the group as it is to be: what isn't said is as before.
    fn over(self, before: Option<Stored>) -> Result<Stored, Failure> {
        let mut group = before.unwrap_or(Stored {
            name: self.name,
            description: String::new(),
            selector: None,
            window: None,
        });
        if let Some(description) = self.description {
            group.description = description;
        }
        match self.selector.as_deref() {
            None => {}
            Some("") => group.selector = None,
            Some(text) => {
                let selector = Selector::from_str(text);
                group.selector = Some(selector.map_err(|error| Failure::Usage(error.to_string()))?);
            }
        }
        let window = self.window.window()?;
        if window.is_some() || self.no_window {
            group.window = window;
        }
        Ok(group)
    }
}

async fn list(client: &Client) -> Result<Vec<Stored>, Failure> {
    client.get(&["groups"]).await
}

async fn find(client: &Client, name: &GroupName) -> Result<Option<Stored>, Failure> {
    let groups = list(client).await?;
    Ok(groups.into_iter().find(|group| group.name == *name))
}

fn table(output: Output, groups: &[Stored]) -> Result<(), Failure> {
    let mut table = Table::new(["name", "selector", "window", "description"]);
    for group in groups {
        table.row([
            group.name.to_string(),
            group
                .selector
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            group.window.as_ref().map_or_else(String::new, window_text),
            group.description.clone(),
        ]);
    }
    output.table(table, "No groups.")
}

fn show(output: Output, group: &Stored) -> Result<(), Failure> {
    output.line(format!("group        {}", group.name))?;
    if !group.description.is_empty() {
        output.line(format!("description  {}", group.description))?;
    }
    let by_hand = || "none: its members are put in by hand".to_owned();
    let selector = group
        .selector
        .as_ref()
        .map_or_else(by_hand, ToString::to_string);
    output.line(format!("selector     {selector}"))?;
    let window = group.window.as_ref();
    let window = window.map_or_else(|| "at any time".to_owned(), window_text);
    output.line(format!("window       {window}"))
}

/// Returns a window as the command line takes it.
fn window_text(window: &Window) -> String {
    let mut parts: Vec<String> = window.spans.iter().map(span_text).collect();
    parts.extend(window.freezes.iter().map(|freeze| {
        let text = format!("not {}..{} {}", freeze.from, freeze.until, freeze.reason);
        text.trim_end().to_owned()
    }));
    let zone = window.zone.as_deref().unwrap_or("in the device's zone");
    format!("{} {zone}", parts.join(", "))
}

fn span_text(span: &WeeklySpan) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let day = |day: &Weekday| {
        let name = format!("{day:?}").to_lowercase();
        name.chars().take(3).collect::<String>()
    };
    let days: Vec<String> = span.days.iter().map(day).collect();
    let (start, end) = (time(span.start_minute), time(span.end_minute));
    format!("{} {start}-{end}", days.join("+"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        put: Put,
    }

    fn put(arguments: &[&str], before: Option<Stored>) -> Stored {
        let line = ["put", "night"].iter().chain(arguments);
        Line::try_parse_from(line)
            .unwrap()
            .put
            .over(before)
            .unwrap()
    }

    #[test]
    fn what_is_not_said_stays() {
        let window = [
            "--window",
            "sat,sun 22:00-04:00 UTC",
            "--freeze",
            "2026-12-24 eve",
        ];
        let made = put(&[&window[..], &["--selector", "site=lab"]].concat(), None);
        assert_eq!(
            window_text(made.window.as_ref().unwrap()),
            "sat+sun 22:00-04:00, not 2026-12-24..2026-12-24 eve UTC"
        );
        let described = put(&["--description", "at night"], Some(made.clone()));
        assert_eq!(
            (&described.window, &described.selector),
            (&made.window, &made.selector)
        );
        assert_eq!(described.description, "at night");
        let bare = put(&["--no-window", "--selector", ""], Some(described));
        assert_eq!((bare.window, bare.selector), (None, None));
        assert_eq!(bare.description, "at night");
    }
}
