//! `otter trust`: sets up and changes whose signatures devices trust, and shows who signed what.

mod change;
mod delegate;
mod init;
mod renew;
mod revoke;
mod rotate;
mod show;
mod sign;
mod verify;

use clap::Subcommand;

use crate::{Context, Failure};

/// Sets up and changes whose signatures devices trust, and shows who signed what.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Makes the first root: the publishers' keys, and the server's for freshness. Once for a fleet.
    ///
    /// With fewer keys here than it takes, the file is written for the others: each signs it with `otter trust sign`, the
    /// last sends it with `otter trust publish`.
    Init(init::Init),
    /// Makes the next root: other keys, other thresholds, or a longer life.
    ///
    /// Devices follow it where a threshold of the old root keys and of the new have signed. With fewer keys here than it
    /// takes, the file is written for the others, as by `init`.
    Rotate(rotate::Rotate),
    /// Takes a key out of every role that it has, and puts another in its place: what to do when it was lost or stolen.
    Revoke(revoke::Revoke),
    /// Lets a team sign for its models alone, changes that, or takes it back.
    ///
    /// The team's keys sign a list of their own: `otter release publish`, `sign` and `withdraw` and `otter trust renew` find it by
    /// the key. Devices of other models take nothing from it. It is signed with the publishers' own targets keys; with fewer
    /// here than it takes, --out writes the file for the others.
    Delegate(delegate::Delegate),
    /// Signs a file that somebody began, and needs no server: files travel by any means.
    Sign(sign::Sign),
    /// Sends a file to the server once enough people have signed it.
    Publish(sign::Publish),
    /// Signs the list of artifacts anew as it is: for a longer life, or after its keys were changed.
    Renew(renew::Renew),
    /// Shows who signed what, and until when it counts: on the server, or in a file.
    Show(show::Show),
    /// Walks a server as a device would, from a root of yours, and says what devices would trust.
    Verify(verify::Verify),
}

impl Trust {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Init(init) => init.run(context, &context.client()?).await,
            Self::Rotate(rotate) => rotate.run(context, &context.client()?).await,
            Self::Revoke(revoke) => revoke.run(context, &context.client()?).await,
            Self::Delegate(delegate) => delegate.run(context, &context.client()?).await,
            Self::Sign(sign) => sign.run(context),
            Self::Publish(publish) => publish.run(context, &context.client()?).await,
            Self::Renew(renew) => renew.run(context, &context.client()?).await,
            Self::Show(show) => show.run(context).await,
            Self::Verify(verify) => verify.run(context).await,
        }
    }
}
