//! Names of things, each a type of its own so that none is taken for another.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space was given.
    #[error("{what} must not be empty")]
    Empty {
        /// Which kind of name.
        what: &'static str,
    },
    /// Longer than the kind of name allows.
    #[error("{what} must be at most {max} bytes, this one has {got}")]
    TooLong {
        /// Which kind of name.
        what: &'static str,
        /// Most bytes allowed.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// Holds a control character, or white space at an end.
    #[error("{what} must have no control characters and no space at its ends")]
    Unprintable {
        /// Which kind of name.
        what: &'static str,
    },
}

/// Checks what all names have in common.
fn check(what: &'static str, max: usize, text: &str) -> Result<(), NameError> {
    if text.trim().is_empty() {
        Err(NameError::Empty { what })
    } else if text.len() > max {
        Err(NameError::TooLong {
            what,
            max,
            got: text.len(),
        })
    } else if text.chars().any(char::is_control) || text.trim() != text {
        Err(NameError::Unprintable { what })
    } else {
        Ok(())
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text as a name.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                check($what, $max, text)?;
                Ok(Self(text.into()))
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some(1))
                    .max_length(Some($max))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}

name!(
    /// A device's own name, stable for its life; at most 128 bytes.
    DeviceId, "a device id", 128
);
name!(
    /// A hardware type, such as `esp32-v2` or `rpi4`; at most 64 bytes.
    Model, "a model", 64
);
name!(
    /// A group's name; at most 64 bytes.
    GroupName, "a group's name", 64
);
name!(
    /// The name of a saved way of going about a rollout; at most 64 bytes.
    TemplateName, "a template's name", 64
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number!(
    /// A release's number on its server.
    ReleaseId, i64
);
number!(
    /// A rollout's number on its server.
    RolloutId, i64
);
number!(
    /// An attempt's number on its server: positive, fits 31 bits, as other dialects of the device API need it.
    AttemptId, i32
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_wherever_they_come_from() {
        assert!(DeviceId::new("gw-1").is_ok());
        assert_eq!(
            DeviceId::new(" "),
            Err(NameError::Empty {
                what: "a device id"
            })
        );
        assert!(matches!(
            Model::new("a\nb"),
            Err(NameError::Unprintable { .. })
        ));
        assert!(matches!(
            Model::new("x".repeat(65)),
            Err(NameError::TooLong { got: 65, .. })
        ));
        assert!(serde_json::from_str::<DeviceId>("\"\"").is_err());
        assert_eq!(
            serde_json::to_string(&DeviceId::new("a").unwrap()).unwrap(),
            "\"a\""
        );
    }
}
