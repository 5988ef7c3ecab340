//! The dashboard's pages.

mod audit;
mod device;
mod device_edit;
mod device_rules;
mod device_story;
mod devices;
mod login;
mod new_rollout;
mod not_found;
mod overview;
mod release;
mod release_form;
mod releases;
mod rollout;
mod rollout_gates;
mod rollout_phase_rows;
mod rollout_steering;
mod rollouts;
mod set_up;
mod settings;
mod settings_keys;
mod settings_tokens;

pub(crate) use audit::Audit;
pub(crate) use device::Device;
pub(crate) use devices::Devices;
pub(crate) use login::Login;
pub(crate) use new_rollout::NewRollout;
pub(crate) use not_found::NotFound;
pub(crate) use overview::Overview;
pub(crate) use release::Release;
pub(crate) use releases::Releases;
pub(crate) use rollout::Rollout;
pub(crate) use rollouts::Rollouts;
pub(crate) use set_up::SetUp;
pub(crate) use settings::Settings;
