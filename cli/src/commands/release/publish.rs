//! `otter release publish`: uploads, signs and publishes in one go.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use otter_protocol::admin::{NewArtifact, NewRelease, ReleaseDetail};
use otter_protocol::release::{Artifact, Release, ReleaseState};
use otter_protocol::{ArtifactKind, Model, ProblemCode, Version};

use super::{list, models, show_release};
use crate::api::Client;
use crate::signing::{Publisher, SigningArgs};
use crate::text::{short, size};
use crate::upload::LocalArtifact;
use crate::{Context, Failure};

/// Uploads a file or folder, signs it and publishes it as a release.
#[derive(Debug, Args)]
pub struct Publish {
    /// Version of the release: any text; 1.2.3 sorts best.
    #[arg(long)]
    version: Version,
    /// Model that the file fits; may be repeated, or listed as `rpi4,rpi5`.
    #[arg(
        long = "model",
        value_name = "MODEL",
        value_delimiter = ',',
        requires = "path"
    )]
    models: Vec<Model>,
    /// What the artifacts are that name no kind of their own: image, bundle, container, firmware or module.
    #[arg(long, default_value = "bundle")]
    kind: ArtifactKind,
    /// An artifact for some models, `rpi4=./a.tar.zst` or `rpi4,rpi5=./folder`; may be repeated.
    ///
    /// A kind before the path, as in `rpi4=image:rootfs.img`, goes before --kind. `./` before a path keeps it a path
    /// whatever it begins with.
    #[arg(long = "artifact", value_name = "MODEL=[KIND:]PATH")]
    artifacts: Vec<ArtifactArg>,
    /// What changed, to people.
    #[arg(long, conflicts_with = "notes_file")]
    notes: Option<String>,
    /// File that says what changed.
    #[arg(long, value_name = "FILE")]
    notes_file: Option<PathBuf>,
    /// Lowest version that can update to it directly.
    #[arg(long, value_name = "VERSION")]
    min_version: Option<Version>,
    /// Lowest boot loader version that can start it.
    #[arg(long, value_name = "VERSION")]
    min_bootloader_version: Option<Version>,
    /// Devices pass over their own wishes (cohort share, metered links) for it.
    #[arg(long)]
    required: bool,
    #[command(flatten)]
    signing: SigningArgs,
    /// File, or folder of a bundle, for all of --model.
    #[arg(value_name = "FILE_OR_FOLDER", requires = "models")]
    path: Option<PathBuf>,
}

/// Models, and the artifact that fits them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArtifactArg {
    models: Vec<Model>,
    /// None is what --kind says.
    kind: Option<ArtifactKind>,
    path: PathBuf,
}

impl FromStr for ArtifactArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (models, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or("an artifact is MODEL=PATH, such as `rpi4=./folder`")?;
        let (kind, path) = split_kind(path);
        if path.is_empty() {
            return Err(format!("`{text}` names a kind and no file"));
        }
        let models = models.split(',').map(|model| Model::new(model.trim()));
        Ok(Self {
            models: models
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?,
            kind,
            path: path.into(),
        })
    }
}

/// Splits a kind off the front of a path, where a known one is there.
fn split_kind(text: &str) -> (Option<ArtifactKind>, &str) {
    let kind = text
        .split_once(':')
        .and_then(|(kind, path)| Some((kind.parse().ok()?, path)));
    match kind {
        Some((kind, path)) => (Some(kind), path),
        None => (None, text),
    }
}

impl Publish {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context, client: &Client) -> Result<(), Failure> {
        let wanted = self.wanted()?;
        let notes = self.notes()?;
        self.check_is_new(client, &wanted).await?;
        let publisher = Publisher::open(&self.signing.keys, &self.signing.how)?;
        let artifacts = self.upload(context, client, wanted).await?;
        let new = NewRelease {
            version: self.version.clone(),
            notes,
            min_version: self.min_version.clone(),
            min_bootloader_version: self.min_bootloader_version.clone(),
            required: self.required,
            artifacts: artifacts.iter().map(as_new).collect(),
        };
        let draft = draft(context, client, &new, &artifacts).await?;
        let (counter, _) = publisher.sign_release(client, &new, &artifacts).await?;

        let id = draft.id.to_string();
        let published: ReleaseDetail = client.get(&["releases", &id]).await?;
        context.output.value(&published.release, |output| {
            show_release(output, &published.release)?;
            output.line(format!(
                "Signed as release {counter} of the publishers. \
                 Roll it out with: otter rollout create --release {} --name NAME",
                published.release.version
            ))
        })
    }

    /// Returns what is to be uploaded for whom, no model twice.
    fn wanted(&self) -> Result<Vec<ArtifactArg>, Failure> {
        let mut wanted = self.artifacts.clone();
        if let Some(path) = &self.path {
            wanted.push(ArtifactArg {
                models: self.models.clone(),
                kind: None,
                path: path.clone(),
            });
        }
        if wanted.is_empty() {
            return Err(Failure::Usage(
                "there is nothing to publish. Name a file or folder with --model, or --artifact MODEL=PATH"
                    .to_owned(),
            ));
        }
        let mut models: Vec<&Model> = wanted.iter().flat_map(|one| &one.models).collect();
        models.sort();
        let twice = models.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(a),
            _ => None,
        });
        match twice {
            Some(model) => Err(Failure::Usage(format!(
                "{model} is named twice; a release has one artifact for a model"
            ))),
            None => Ok(wanted),
        }
    }

    /// Refuses a version that is taken before anything is uploaded; the server would only refuse it after.
    async fn check_is_new(&self, client: &Client, wanted: &[ArtifactArg]) -> Result<(), Failure> {
        let taken = list(client).await?.into_iter().find(|release| {
            let models = release.models();
            release.state != ReleaseState::Draft
                && release.version == self.version
                && wanted
                    .iter()
                    .flat_map(|one| &one.models)
                    .any(|model| models.contains(model))
        });
        match taken {
            Some(release) => Err(Failure::Refused(format!(
                "release {} has version {} for {} and is {}. Give this one another version",
                release.id,
                release.version,
                models(&release),
                release.state.as_str()
            ))),
            None => Ok(()),
        }
    }

    fn notes(&self) -> Result<String, Failure> {
        match (&self.notes, &self.notes_file) {
            (Some(notes), _) => Ok(notes.clone()),
            (None, Some(path)) => fs::read_to_string(path).map_err(Failure::file(path)),
            (None, None) => Ok(String::new()),
        }
    }

    /// Brings every artifact to the server; those with the same bytes become one.
    async fn upload(
        &self,
        context: &Context,
        client: &Client,
        wanted: Vec<ArtifactArg>,
    ) -> Result<Vec<Artifact>, Failure> {
        let mut artifacts: Vec<Artifact> = Vec::new();
        for ArtifactArg { models, kind, path } in wanted {
            let kind = kind.unwrap_or(self.kind);
            let local = LocalArtifact::prepare(&path, kind).await?;
            let known = artifacts.iter_mut().find(|one| one.sha256 == local.sha256);
            let artifact = match known {
                Some(artifact) if artifact.kind != kind => {
                    return Err(Failure::Usage(format!(
                        "{} is given as {kind}, and the same bytes as {}; an artifact has one kind",
                        path.display(),
                        artifact.kind
                    )));
                }
                Some(artifact) => artifact,
                None => {
                    let sent = local.upload(client).await?;
                    context.output.note(format!(
                        "{} {} {}",
                        if sent { "uploaded" } else { "the server has" },
                        short(&local.sha256),
                        size(local.size)
                    ));
                    artifacts.push_mut(Artifact {
                        sha256: local.sha256,
                        size: local.size,
                        kind,
                        models: Vec::new(),
                    })
                }
            };
            artifact.models.extend(models);
            artifact.models.sort();
        }
        Ok(artifacts)
    }
}

fn as_new(artifact: &Artifact) -> NewArtifact {
    NewArtifact {
        sha256: artifact.sha256,
        kind: artifact.kind,
        models: artifact.models.clone(),
    }
}

/// Makes the draft, or takes up the one that a publication left which broke off.
async fn draft(
    context: &Context,
    client: &Client,
    new: &NewRelease,
    artifacts: &[Artifact],
) -> Result<Release, Failure> {
    let refused = match client.post(&["releases"], new).await {
        Err(failure) if failure.code() == Some(ProblemCode::AlreadyExists) => failure,
        other => return other,
    };
    let same = list(client)
        .await?
        .into_iter()
        .find(|release| release.state == ReleaseState::Draft && is_same(release, new, artifacts));
    let Some(same) = same else {
        return Err(refused);
    };
    context.output.note(format!(
        "draft {} is exactly this release; it is signed now",
        same.id
    ));
    Ok(same)
}

/// Tells whether a draft says what is to be signed, no more and no less.
fn is_same(draft: &Release, new: &NewRelease, artifacts: &[Artifact]) -> bool {
    let sorted = |artifacts: &[Artifact]| {
        let mut artifacts = artifacts.to_vec();
        artifacts.iter_mut().for_each(|one| one.models.sort());
        artifacts.sort_by_key(|one| one.sha256);
        artifacts
    };
    draft.version == new.version
        && draft.notes == new.notes
        && draft.min_version == new.min_version
        && draft.min_bootloader_version == new.min_bootloader_version
        && draft.required == new.required
        && sorted(&draft.artifacts) == sorted(artifacts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_names_its_models() {
        let argument: ArtifactArg = "rpi4, rpi5=./a=b".parse().unwrap();
        let models = ["rpi4", "rpi5"].map(|model| Model::new(model).unwrap());
        assert_eq!(argument.models, models);
        assert_eq!(argument.path, PathBuf::from("./a=b"));
        for bad in ["rpi4", "rpi4=", "=a", "rpi4,=a", "rpi4=image:"] {
            assert!(bad.parse::<ArtifactArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_artifact_may_name_its_kind() {
        let cases = [
            (
                "rpi4=image:rootfs.img",
                Some(ArtifactKind::Image),
                "rootfs.img",
            ),
            ("rpi4=bundle:./a:b", Some(ArtifactKind::Bundle), "./a:b"),
            ("rpi4=rootfs.img", None, "rootfs.img"),
            ("rpi4=./image:rootfs.img", None, "./image:rootfs.img"),
            ("rpi4=picture:rootfs.img", None, "picture:rootfs.img"),
        ];
        for (text, kind, path) in cases {
            let argument: ArtifactArg = text.parse().unwrap();
            assert_eq!(
                (argument.kind, argument.path),
                (kind, path.into()),
                "{text}"
            );
        }
    }
}
