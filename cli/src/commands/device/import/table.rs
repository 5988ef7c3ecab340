//! Devices in a table of comma-separated values, as spreadsheets write it (RFC 4180). A field holds no line break: nothing
//! that a device has could.

use otter_protocol::admin::ImportDevice;

/// The columns that a table may have by name; labels and metadata name their key.
const COLUMNS: [&str; 6] = ["id", "model", "version", "group", "public_key", "hold"];

/// What the columns hold.
#[derive(Debug)]
pub(super) struct Header(Vec<String>);

impl Header {
    /// Reads a table's first line.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let columns: Vec<String> = fields(line)?
            .into_iter()
            .map(|name| name.trim().to_owned())
            .collect();
        for name in &columns {
            let key = name.strip_prefix("label:");
            let key = key.or_else(|| name.strip_prefix("metadata:"));
            if !COLUMNS.contains(&name.as_str()) && key.is_none_or(str::is_empty) {
                return Err(format!(
                    "`{name}` is no column; there are {}, label:KEY and metadata:KEY",
                    COLUMNS.join(", ")
                ));
            }
            if columns.iter().filter(|other| *other == name).count() > 1 {
                return Err(format!("the column `{name}` is there twice"));
            }
        }
        for needed in ["id", "model"] {
            if !columns.iter().any(|name| name == needed) {
                return Err(format!("there is no column `{needed}`"));
            }
        }
        Ok(Self(columns))
    }

    /// Reads a line; an empty field is as if it weren't there.
    pub(super) fn device(&self, line: &str) -> Result<ImportDevice, String> {
        let values = fields(line)?;
        if values.len() != self.0.len() {
            return Err(format!(
                "{} fields are needed, here is {}",
                self.0.len(),
                values.len()
            ));
        }
        let (mut id, mut model) = (None, None);
        let mut device = Parts::default();
        for (name, value) in self.0.iter().zip(values) {
            let wrong = |error: &dyn std::fmt::Display| format!("{name}: {error}");
            match name.as_str() {
                "id" => id = Some(value.parse().map_err(|error| wrong(&error))?),
                "model" => model = Some(value.parse().map_err(|error| wrong(&error))?),
                _ if value.is_empty() => {}
                "version" => device.version = value,
                "group" => device.group = Some(value.parse().map_err(|error| wrong(&error))?),
                "public_key" => device.public_key = Some(value),
                "hold" => device.hold = Some(value),
                other => match other.strip_prefix("label:") {
                    Some(key) => drop(device.labels.insert(key.to_owned(), value)),
                    None => {
                        let key = other.trim_start_matches("metadata:").to_owned();
                        device.metadata.insert(key, value);
                    }
                },
            }
        }
        let (Some(id), Some(model)) = (id, model) else {
            return Err("there is no id or no model".to_owned());
        };
        Ok(device.of(id, model))
    }
}

/// What a device has beside its id and model.
#[derive(Default)]
struct Parts {
    version: String,
    group: Option<otter_protocol::GroupName>,
    labels: otter_protocol::device::Pairs,
    metadata: otter_protocol::device::Pairs,
    public_key: Option<String>,
    hold: Option<String>,
}

impl Parts {
    fn of(self, id: otter_protocol::DeviceId, model: otter_protocol::Model) -> ImportDevice {
        ImportDevice {
            id,
            model,
            version: self.version.as_str().into(),
            group: self.group,
            labels: self.labels,
            metadata: self.metadata,
            public_key: self.public_key,
            hold: self.hold,
        }
    }
}

/// Cuts a line at its commas; a field in quotes may hold commas, and quotes twice each.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars().peekable();
    let mut is_quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.is_empty() => is_quoted = true,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            character => field.push(character),
        }
    }
    if is_quoted {
        return Err("a quote isn't closed; a field holds no line break".to_owned());
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_and_quotes() {
        assert_eq!(fields("a,,\"b,\"\"c\"\"\"").unwrap(), ["a", "", "b,\"c\""]);
        assert_eq!(fields("").unwrap(), [""]);
        assert_eq!(fields("5\" pipe,x").unwrap(), ["5\" pipe", "x"]);
        assert!(fields("\"a").is_err());
    }

    #[test]
    fn every_column_finds_its_place() {
        let header =
            Header::read("hold,metadata:serial,label:site,public_key,group,version,model,id")
                .unwrap();
        let device = header
            .device("broken,7,north,00ff,pilot,1.0,rpi4,gw-1")
            .unwrap();
        assert_eq!(
            serde_json::to_value(device).unwrap(),
            serde_json::json!({
                "id": "gw-1", "model": "rpi4", "version": "1.0", "group": "pilot", "public_key": "00ff",
                "labels": {"site": "north"}, "metadata": {"serial": "7"}, "hold": "broken",
            })
        );
        assert!(Header::read("id,model,id").is_err());
    }
}
