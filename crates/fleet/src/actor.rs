//! Who changes something.

use std::fmt;

use otter_protocol::DeviceId;

/// Who changes something, as the audit log writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, by name.
    User(String),
    /// A key for programs, by name.
    Key(String),
    /// A device, about itself.
    Device(DeviceId),
    /// The rollout engine and periodic work.
    Engine,
    /// Somebody at the server's own command line.
    Console,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Engine => f.write_str("engine"),
            Self::Console => f.write_str("console"),
        }
    }
}
