//! Where the setup says that artifacts lie, and whether devices are sent there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

/// Where artifacts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactPlace {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket of an S3-compatible store.
    Objects {
        /// The bucket.
        bucket: String,
        /// What every name begins with; empty, or ending in `/`.
        prefix: String,
        /// A folder for what is on its way there.
        staging: PathBuf,
        /// Where the store is, and who the server is to it.
        access: ObjectAccess,
    },
}

impl ArtifactPlace {
    /// Reads a folder's path or `s3://bucket/prefix`; what is on its way to a bucket lies in `staging`. The error is a sentence.
    pub fn parse(text: &str, staging: PathBuf, access: ObjectAccess) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Folder(text.into()));
        };
        if scheme != "s3" {
            return Err(format!(
                "give a folder's path or s3://bucket/prefix, not {text}"
            ));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; other stores allow no more.
        let is_name = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
            });
        if !is_name {
            return Err(format!(
                "`{bucket}` is no bucket's name: those have 3 to 63 lower-case letters, digits, dots and hyphens"
            ));
        }
        if prefix.contains("//") || prefix.contains(['?', '#']) {
            return Err(format!("`{prefix}` can't begin an object's name"));
        }
        let mut prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(Self::Objects {
            bucket: bucket.to_owned(),
            prefix,
            staging,
            access,
        })
    }
}

impl From<PathBuf> for ArtifactPlace {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl fmt::Display for ArtifactPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Objects { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Where an S3-compatible store is, and who the server is to it, by the names that programs of AWS give it in the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ObjectAccess(BTreeMap<String, String>);

impl ObjectAccess {
    /// Takes what begins with `AWS_`: such as `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        Self(ours.collect())
    }

    /// Returns names and values.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The values hold secrets.
impl fmt::Debug for ObjectAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether devices are sent to where artifacts lie, rather than have them through this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ArtifactRedirect {
    /// They get them here.
    #[default]
    Off,
    /// To the bucket, by an address that is signed for a quarter of an hour.
    Signed,
    /// To an address that has what the store has, such as a content delivery network's; it ends in `/`.
    To(Url),
}

impl ArtifactRedirect {
    /// Reads `off`, `signed` or an address. The error is a sentence.
    pub fn parse(text: &str, place: &ArtifactPlace) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "signed" if matches!(place, ArtifactPlace::Objects { .. }) => Ok(Self::Signed),
            "signed" => Err("only artifacts in a bucket have signed addresses".to_owned()),
            _ => {
                let url: Option<Url> = text.parse().ok();
                let is_fit = |url: &Url| {
                    matches!(url.scheme(), "http" | "https")
                        && url.has_host()
                        && url.query().is_none()
                        && url.fragment().is_none()
                };
                let mut url = url.filter(is_fit).ok_or_else(|| {
                    format!(
                        "give off, signed or the address under which the artifacts are, not {text}"
                    )
                })?;
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                Ok(Self::To(url))
            }
        }
    }
}

impl fmt::Display for ArtifactRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Signed => f.write_str("signed"),
            Self::To(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<String, String> {
        ArtifactPlace::parse(text, "staging".into(), ObjectAccess::default())
            .map(|place| place.to_string())
    }

    #[test]
    fn places_are_folders_or_buckets() {
        let table = [
            ("/var/lib/otter", "/var/lib/otter"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/", "s3://bucket/"),
            ("s3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b/"),
        ];
        for (text, shown) in table {
            assert_eq!(place(text).as_deref(), Ok(shown));
        }
        for text in [
            "gs://bucket",
            "s3://",
            "s3://B/x",
            "s3://bucket/a//b",
            "s3://bucket/a?b",
        ] {
            assert!(place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "hidden"), ("HOME", "/root")];
        let access = ObjectAccess::new(variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(format!("{access:?}"), "{\"AWS_SECRET_ACCESS_KEY\"}");
    }

    #[test]
    fn redirects_go_to_the_bucket_or_an_address() {
        let folder = ArtifactPlace::Folder("x".into());
        let bucket =
            ArtifactPlace::parse("s3://bucket", "staging".into(), ObjectAccess::default()).unwrap();
        let shown = |text, place| ArtifactRedirect::parse(text, place).map(|one| one.to_string());
        assert_eq!(shown("signed", &bucket).as_deref(), Ok("signed"));
        assert!(shown("signed", &folder).is_err());
        let cdn = "https://cdn.example/otter";
        assert_eq!(
            shown(cdn, &folder).as_deref(),
            Ok("https://cdn.example/otter/")
        );
        for text in ["on", "ftp://cdn.example/", "https://cdn.example/?x=1"] {
            assert!(shown(text, &bucket).is_err(), "{text}");
        }
    }
}
