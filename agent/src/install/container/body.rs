//! The body of the engine's create call: the user's file, with what is the agent's to say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arrangement::{COUNTER, IMAGE, VERSION};
use crate::journal::Installed;

/// Longest file, in bytes.
pub(super) const LONGEST: u64 = 256 << 10;

/// What the user wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads the file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Value::Object(body) = value else {
            return Err("it must be a JSON object".to_owned());
        };
        let shapes = [
            (
                "HostConfig",
                body.get("HostConfig").is_none_or(Value::is_object),
                "an object",
            ),
            (
                "Labels",
                body.get("Labels").is_none_or(Value::is_object),
                "an object",
            ),
            ("Env", body.get("Env").is_none_or(Value::is_array), "a list"),
        ];
        for (key, fits, shape) in shapes {
            if !fits {
                return Err(format!("`{key}` must be {shape}"));
            }
        }
        if body.contains_key("Image") {
            return Err("leave `Image` out: it is what releases say".to_owned());
        }
        let body = Self(body);
        if body.host_config("AutoRemove") == Some(&Value::Bool(true)) {
            return Err(
                "`HostConfig.AutoRemove` leaves nothing to go back to; leave it out".to_owned(),
            );
        }
        Ok(body)
    }

    fn host_config(&self, key: &str) -> Option<&Value> {
        self.0.get("HostConfig")?.get(key)
    }

    /// Returns what the engine does when a container ends that is to stay.
    pub(super) fn restart_policy(&self) -> Value {
        let policy = self
            .host_config("RestartPolicy")
            .filter(|policy| policy.is_object());
        policy
            .cloned()
            .unwrap_or_else(|| json!({"Name": "unless-stopped"}))
    }

    /// Returns the body that makes a version's container, which is on trial.
    pub(super) fn of(mut self, version: &Installed, env: &BTreeMap<String, String>) -> Value {
        let mut ours = env.clone();
        ours.insert("OTTER_VERSION".to_owned(), version.version.to_string());
        let ours = ours
            .iter()
            .map(|(key, value)| json!(format!("{key}={value}")));
        let theirs = self.0.get("Env").and_then(Value::as_array).cloned();
        // Of two variables of one name the last one counts: the user's.
        let env: Vec<Value> = ours.chain(theirs.unwrap_or_default()).collect();
        self.0.insert("Env".to_owned(), env.into());
        self.0.insert("Image".to_owned(), json!(version.name));
        let labels = [
            (COUNTER, version.release_counter.to_string()),
            (VERSION, version.version.to_string()),
            (IMAGE, version.name.clone()),
        ];
        for (key, text) in labels {
            self.put("Labels", key, json!(text));
        }
        self.put("HostConfig", "RestartPolicy", json!({"Name": "no"}));
        Value::Object(self.0)
    }

    fn put(&mut self, object: &str, key: &str, value: Value) {
        let place = self.0.entry(object).or_insert_with(|| json!({}));
        if let Value::Object(place) = place {
            place.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Installed {
        Installed {
            version: "1.1.0".into(),
            release_counter: 4,
            name: "sha256:ab".to_owned(),
        }
    }

    #[test]
    fn the_agent_adds_what_is_its_own_and_leaves_the_rest() {
        let file = json!({
            "Cmd": ["run"], "Env": ["A=1"], "Labels": {"mine": "x", "otter.version": "a lie"},
            "HostConfig": {"Binds": ["/a:/b"], "RestartPolicy": {"Name": "always"}},
        });
        let body = Body::parse(file.to_string().as_bytes()).unwrap();
        assert_eq!(body.restart_policy(), json!({"Name": "always"}));
        let env = BTreeMap::from([("OTTER_MODEL".to_owned(), "m".to_owned())]);
        let made = json!({
            "Image": "sha256:ab", "Cmd": ["run"],
            "Env": ["OTTER_MODEL=m", "OTTER_VERSION=1.1.0", "A=1"],
            "Labels": {
                "mine": "x", "otter.version": "1.1.0", "otter.release_counter": "4", "otter.image": "sha256:ab",
            },
            "HostConfig": {"Binds": ["/a:/b"], "RestartPolicy": {"Name": "no"}},
        });
        assert_eq!(body.of(&version(), &env), made);
    }

    #[test]
    fn an_empty_one_is_enough() {
        let body = Body::parse(b"{}").unwrap();
        assert_eq!(body.restart_policy(), json!({"Name": "unless-stopped"}));
        let made = body.of(&version(), &BTreeMap::new());
        assert_eq!(made["HostConfig"]["RestartPolicy"]["Name"], "no");
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let cases = [
            ("[]", "object"),
            ("{", "EOF"),
            ("{\"Image\": \"x\"}", "leave `Image` out"),
            ("{\"Env\": {}}", "`Env` must be a list"),
            ("{\"Labels\": []}", "`Labels` must be an object"),
            ("{\"HostConfig\": 1}", "`HostConfig` must be an object"),
            (
                "{\"HostConfig\": {\"AutoRemove\": true}}",
                "nothing to go back to",
            ),
        ];
        for (text, words) in cases {
            let error = Body::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
