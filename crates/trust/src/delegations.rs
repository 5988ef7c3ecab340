//! What publishers delegate: which role signs for which models, with which keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::delegated_role::{decode, encode};
use crate::document::malformed;
use crate::{DelegatedRole, PublicKey, Role, RoleKeys, Root, TrustError};

/// Most roles that publishers delegate to: a snapshot, which devices read whole, names each.
const MOST: usize = 200;

/// What stands behind the model in the names that a role may sign: a release and a digest.
const BELOW_MODEL: &str = "/*/*";

/// Who signs for which models alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Models; never empty, and none of another delegation's.
    pub models: BTreeSet<String>,
    /// Whose signatures count, and how many it takes.
    pub keys: RoleKeys,
}

/// All that publishers delegate, by the role's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delegations(pub BTreeMap<DelegatedRole, Delegation>);

/// The delegations object of the TUF specification, section 4.5.
#[derive(Deserialize)]
struct Fields {
    keys: BTreeMap<String, PublicKey>,
    roles: Vec<RoleFields>,
}

#[derive(Deserialize)]
struct RoleFields {
    name: DelegatedRole,
    keyids: Vec<String>,
    threshold: usize,
    terminating: bool,
    paths: Vec<String>,
}

impl Delegations {
    /// Returns a role's delegation.
    #[must_use]
    pub fn get(&self, role: &DelegatedRole) -> Option<&Delegation> {
        self.0.get(role)
    }

    /// Returns the role that signs for a model.
    #[must_use]
    pub fn role_for(&self, model: &str) -> Option<&DelegatedRole> {
        let mut all = self.0.iter();
        all.find(|(_, one)| one.models.contains(model))
            .map(|(role, _)| role)
    }

    /// Returns the roles that a key may sign for.
    pub fn roles_of(&self, key: &PublicKey) -> impl Iterator<Item = &DelegatedRole> {
        let all = self.0.iter();
        all.filter(|(_, one)| one.keys.contains(key))
            .map(|(role, _)| role)
    }

    /// Fails where devices would trust who mustn't be: a key of the server's, or one that signs for every model anyway.
    pub fn check(&self, root: &Root) -> Result<(), TrustError> {
        if self.0.len() > MOST {
            return refused(format!("there are more than {MOST} of them"));
        }
        let mut models = BTreeSet::new();
        for (role, delegation) in &self.0 {
            let RoleKeys { keys, threshold } = &delegation.keys;
            let distinct: BTreeSet<_> = keys.iter().collect();
            if distinct.len() != keys.len() {
                return refused(format!("a key of {role} is named twice"));
            }
            if *threshold == 0 || *threshold > keys.len() {
                return refused(format!(
                    "{role} asks for {threshold} signatures of {} keys",
                    keys.len()
                ));
            }
            if delegation.models.is_empty() {
                return refused(format!("{role} has no model to sign for"));
            }
            for model in &delegation.models {
                if model.is_empty() || !models.insert(model) {
                    return refused(format!(
                        "{model:?} is given to two roles. A model has one team"
                    ));
                }
            }
            for key in keys {
                check_key(root, role, key)?;
            }
        }
        Ok(())
    }

    /// Reads the delegations of a targets file; none is an empty set.
    pub(crate) fn read(value: Option<&Value>) -> Result<Self, TrustError> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let what = "the delegations";
        let fields = Fields::deserialize(value).map_err(|error| malformed(what, error))?;
        let mut all = BTreeMap::new();
        for role in fields.roles {
            if !role.terminating {
                let reason = format!("{} doesn't end the search for its models", role.name);
                return Err(malformed(what, reason));
            }
            let key = |id: &String| {
                let key = fields.keys.get(id).copied();
                key.ok_or_else(|| malformed(what, format!("they lack the key {id}")))
            };
            let keys = role.keyids.iter().map(key).collect::<Result<Vec<_>, _>>()?;
            let model = |path: &String| {
                let model = path.strip_suffix(BELOW_MODEL).and_then(decode);
                model.ok_or_else(|| malformed(what, format!("{path:?} stands for no model")))
            };
            let models = role.paths.iter().map(model).collect::<Result<_, _>>()?;
            let keys = RoleKeys::new(keys, role.threshold);
            let name = role.name.to_string();
            if all.insert(role.name, Delegation { models, keys }).is_some() {
                return Err(malformed(what, format!("{name} is named twice")));
            }
        }
        Ok(Self(all))
    }

    /// Writes them as TUF has them.
    pub(crate) fn to_value(&self) -> Value {
        let mut keys = Map::new();
        let mut roles = Vec::new();
        for (role, delegation) in &self.0 {
            let ids = delegation.keys.keys.iter().map(|key| {
                let id = key.key_id();
                keys.insert(id.clone(), key.to_tuf());
                id
            });
            let ids: Vec<_> = ids.collect();
            let paths: Vec<_> = delegation.models.iter().map(|model| path(model)).collect();
            roles.push(json!({
                "name": role, "keyids": ids, "threshold": delegation.keys.threshold,
                "terminating": true, "paths": paths,
            }));
        }
        json!({ "keys": keys, "roles": roles })
    }
}

/// Returns the pattern of all names that are signed for a model.
fn path(model: &str) -> String {
    format!("{}{BELOW_MODEL}", encode(model))
}

fn check_key(root: &Root, role: &DelegatedRole, key: &PublicKey) -> Result<(), TrustError> {
    if root.snapshot.contains(key) || root.timestamp.contains(key) {
        return refused(format!(
            "key {} of {role} is the server's, so that a stolen server could sign software",
            key.key_id()
        ));
    }
    // A list of one role must never pass for another's.
    if root.role(Role::Targets).contains(key) {
        return refused(format!(
            "key {} of {role} signs for every model already. Give {role} a key of its own",
            key.key_id()
        ));
    }
    Ok(())
}

fn refused(reason: String) -> Result<(), TrustError> {
    Err(malformed("the delegations", reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn delegation(models: &[&str], seeds: &[u8]) -> Delegation {
        let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
        Delegation {
            models: models.iter().map(ToString::to_string).collect(),
            keys: RoleKeys::new(keys, 1),
        }
    }

    fn delegations() -> Delegations {
        let role = |name: &str| DelegatedRole::new(name).unwrap();
        Delegations(BTreeMap::from([
            (role("team-a"), delegation(&["rpi4", "esp32/v2 *"], &[11])),
            (role("team-b"), delegation(&["rpi5"], &[12, 13])),
        ]))
    }

    fn root() -> Root {
        Root {
            version: 1,
            expires: "2030-01-01T00:00:00Z".parse().unwrap(),
            root: RoleKeys::new([key(1)], 1),
            targets: RoleKeys::new([key(4)], 1),
            snapshot: RoleKeys::new([key(5)], 1),
            timestamp: RoleKeys::new([key(6)], 1),
        }
    }

    #[test]
    fn they_round_trip_as_tuf_has_them() {
        let value = delegations().to_value();
        assert_eq!(
            value["roles"][0]["paths"],
            json!(["esp32%2Fv2%20%2A/*/*", "rpi4/*/*"])
        );
        assert_eq!(Delegations::read(Some(&value)).unwrap(), delegations());
        assert_eq!(Delegations::read(None).unwrap(), Delegations::default());
        delegations().check(&root()).unwrap();
    }

    #[test]
    fn what_stands_for_no_model_is_refused() {
        let changes: [fn(&mut Value); 4] = [
            |role| role["paths"] = json!(["*/*/*"]),
            |role| role["paths"] = json!(["rpi4/r1/*"]),
            |role| role["terminating"] = json!(false),
            |role| role["keyids"] = json!(["nobody"]),
        ];
        for change in changes {
            let mut value = delegations().to_value();
            change(&mut value["roles"][0]);
            assert!(Delegations::read(Some(&value)).is_err(), "{value}");
        }
    }

    #[test]
    fn keys_and_models_are_one_teams() {
        let role = || DelegatedRole::new("team-c").unwrap();
        for (one, words) in [
            (delegation(&["rpi5"], &[14]), "two roles"),
            (delegation(&["x"], &[4]), "every model already"),
            (delegation(&["x"], &[5]), "stolen server"),
            (delegation(&["x"], &[6]), "stolen server"),
            (delegation(&["x"], &[14, 14]), "twice"),
            (delegation(&["x"], &[]), "signatures of 0 keys"),
            (delegation(&[], &[14]), "no model"),
        ] {
            let mut all = delegations();
            all.0.insert(role(), one);
            let error = all.check(&root()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
