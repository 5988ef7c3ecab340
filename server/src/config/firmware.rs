//! Whom the plain firmware API believes.

use serde::Deserialize;

/// What devices of the plain firmware API show of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum FirmwareAuth {
    /// Their name; those that have a token show it.
    #[default]
    Open,
    /// Their device token, got by enrolling.
    Token,
    /// Nothing: the API is switched off.
    Off,
}

/// How the plain firmware API is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirmwareApi {
    /// What its devices show.
    pub auth: FirmwareAuth,
    /// Lets everybody read its lists, without a key.
    pub open_reads: bool,
}

impl std::fmt::Display for FirmwareAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Off => "off",
        })
    }
}
