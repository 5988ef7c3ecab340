//! Going back by hand: the former version, which is kept, takes the place of the one that runs, as any new one would.

use anyhow::Context;

use super::Begun;
use crate::agent::Agent;
use crate::clock;
use crate::journal::{Attempt, BY_HAND, TakenBack};

impl Agent {
    /// Begins to take the device back to its former version; refused where that isn't there whole.
    pub(crate) async fn go_back(&self, reason: Option<String>) -> anyhow::Result<Begun> {
        let record = self.journal.record();
        let Some(former) = record.previous else {
            return Ok(Begun::Refused(
                "no former version is kept on this device, so that there is nothing to go back to"
                    .to_owned(),
            ));
        };
        if let Err(error) = self.installer.keeps(&former).await {
            return Ok(Begun::Refused(format!(
                "version {} can't come back: {error}",
                former.version
            )));
        }
        let kind = self.installer.kind();
        let attempt = Attempt::back_to(former, kind, reason, self.journal.written_bytes());
        let verdict = self.verdict_on(&attempt).await;
        if !verdict.allows() {
            return Ok(Begun::Refused(format!(
                "this device's own policy says not now: it {}",
                verdict.words()
            )));
        }
        // What an earlier way back kept is not what there is now.
        self.backups.discard(BY_HAND).await?;
        tracing::warn!(
            "the device goes back to {} by hand, from {}",
            attempt.offer.version,
            self.version()
        );
        let uuid = attempt.offer.attempt_uuid;
        self.journal
            .change(|record| record.attempt = Some(attempt))
            .context("the journal can't be written")?;
        Ok(Begun::Attempt(uuid))
    }

    /// Lets a version come again that was taken back here.
    pub(super) fn want_again(&self, mut say: impl FnMut(&str)) -> anyhow::Result<()> {
        let taken_back = self
            .journal
            .change(|record| record.taken_back.take())
            .context("the journal can't be written")?;
        if let Some(TakenBack { version, at, .. }) = taken_back {
            let at = clock::to_second(at);
            say(&format!(
                "version {version}, which was taken back here at {at}, may come again"
            ));
        }
        Ok(())
    }
}
