//! A systemd unit that must be active.

use crate::systemctl::Systemctl;

/// Asks once.
pub(super) async fn probe(systemctl: &Systemctl, unit: &str) -> Result<(), String> {
    let state = systemctl.show(unit).await?;
    if state.is_active() {
        Ok(())
    } else {
        Err(format!("{unit} should be active, but is {state}"))
    }
}
