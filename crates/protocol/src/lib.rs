//! What device and server say to each other, and every rule that both must agree on.
//!
//! Pure: no I/O, no clock, no async, no database. Whatever needs the time is given it. Builds for wasm32, so the
//! dashboard shares these types with the server, and a device could evaluate the same rules.
//!
//! | file | what |
//! |---|---|
//! | [`id`] | names of things: devices, models, groups, releases, rollouts, attempts |
//! | [`digest`], [`time`], [`share`] | SHA-256, points in time, parts of a fleet |
//! | [`version`] | which version is newer |
//! | [`cohort`] | a device's fixed place between 0 and 1 |
//! | [`selector`], [`group`] | devices by what they say and what is said of them |
//! | [`window`] | when updates may start |
//! | [`device`], [`release`], [`rollout`], [`attempt`] | the four things that Otter is about |
//! | [`gate`] | when a phase may end |
//! | [`comparison`] | which release does better |
//! | [`plan`], [`decision`], [`rule`] | everything that is under way, `decide()` over it, and what its rules find |
//! | [`preview`] | how a rollout will go, by what is counted before |
//! | [`check_in`] | what a device and the server exchange |
//! | [`clock_off`] | how far a device's clock is from the server's |
//! | [`audit_chain`] | what holds the audit log together |
//! | [`problem`] | errors as RFC 9457 documents |
//! | [`admin`] | what people and programs ask of the admin API |

pub mod admin;
pub mod attempt;
pub mod audit_chain;
pub mod check_in;
pub mod clock_off;
pub mod cohort;
pub mod comparison;
pub mod decision;
pub mod device;
pub mod digest;
pub mod gate;
pub mod group;
pub mod id;
pub mod plan;
pub mod preview;
pub mod problem;
pub mod release;
pub mod rollout;
pub mod rule;
pub mod selector;
pub mod share;
pub mod time;
pub mod timeline;
pub mod version;
pub mod window;

pub use attempt::{AttemptReport, AttemptState};
pub use cohort::Cohort;
pub use decision::{Decision, decide};
pub use digest::Sha256Digest;
pub use id::{AttemptId, DeviceId, GroupName, Model, ReleaseId, RolloutId, TemplateName};
pub use plan::Plan;
pub use problem::{Problem, ProblemCode};
pub use release::ArtifactKind;
pub use share::Share;
pub use time::Timestamp;
pub use version::Version;
