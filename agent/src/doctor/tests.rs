use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::*;
use crate::disk::{self, PUBLIC, SimulatedDisk};
use crate::net::NetError;
use crate::net::transport::{Answer, Body, Request};

/// Answers every question with the same words.
#[derive(Debug)]
struct Fixed(u16, &'static str);

struct Once(Option<&'static str>);

#[async_trait]
impl Body for Once {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        Ok(self.0.take().map(Bytes::from))
    }
}

#[async_trait]
impl Transport for Fixed {
    async fn send(&self, _: Request) -> Result<Answer, NetError> {
        if self.0 == 0 {
            return Err(NetError::Unreachable("Connection refused".to_owned()));
        }
        Ok(Answer {
            status: StatusCode::from_u16(self.0).unwrap(),
            headers: HeaderMap::new(),
            body: Box::new(Once(Some(self.1))),
        })
    }
}

const CONFIG: &str = "server = \"http://localhost\"\ndevice_id = \"a\"\nmodel = \"m\"\nstate_dir = \"/s\"\n\
    [bundle]\nroot = \"/opt/a\"\n[bundle.service]\ncommand = [\"sh\"]\n\
    [[health.check]]\nkind = \"command\"\ncommand = [\"no-such-otter\"]\n";

async fn look(disk: &SimulatedDisk, server: Fixed) -> Vec<Finding> {
    let config = Config::parse(CONFIG, Path::new("/")).unwrap();
    examine_with(&config, Arc::new(disk.clone()), Arc::new(server)).await
}

fn level(findings: &[Finding], about: &str) -> Level {
    let found: Vec<_> = findings.iter().filter(|f| f.about == about).collect();
    assert_eq!(found.len(), 1, "{about} in {findings:?}");
    found[0].level
}

#[tokio::test]
async fn all_of_it_is_looked_at() {
    let disk = SimulatedDisk::default();
    let findings = look(&disk, Fixed(200, "{\"signed\":{}}")).await;
    let table = [
        ("state folder", Level::Ok),
        ("space", Level::Ok),
        ("clock", Level::Ok),
        ("server", Level::Ok),
        ("token", Level::Warning),
        ("root metadata", Level::Warning),
        ("service", Level::Ok),
        ("health check 1", Level::Problem),
        ("bundle root", Level::Ok),
        ("hard links", Level::Ok),
    ];
    for (about, expected) in table {
        assert_eq!(level(&findings, about), expected, "{about}");
    }
    let is_mended = |finding: &Finding| (finding.level == Level::Ok) == finding.mend.is_none();
    assert!(findings.iter().all(is_mended));
}

#[tokio::test]
async fn who_answers_matters() {
    let disk = SimulatedDisk::default();
    disk.make_dir(Path::new("/s")).unwrap();
    disk::write_whole(&disk, Path::new("/s/device.token"), b"otd_x", PUBLIC).unwrap();
    disk::write_whole(&disk, Path::new("/s/journal.json"), b"?", PUBLIC).unwrap();
    let problem = "{\"type\":\"about:blank\",\"title\":\"t\",\"status\":404,\"detail\":\"d\",\"code\":\"not_found\"}";
    let table = [
        (Fixed(0, ""), Level::Problem),
        (Fixed(200, "<h1>Log in to this hotel</h1>"), Level::Problem),
        (Fixed(404, "no such page"), Level::Problem),
        (Fixed(502, ""), Level::Problem),
        (Fixed(404, problem), Level::Warning),
    ];
    for (server, expected) in table {
        let shown = format!("{server:?}");
        let findings = look(&disk, server).await;
        assert_eq!(level(&findings, "server"), expected, "{shown}");
        assert_eq!(level(&findings, "journal"), Level::Problem);
        if expected != Level::Problem {
            assert_eq!(level(&findings, "token"), Level::Ok);
        }
    }
}
