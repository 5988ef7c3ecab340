//! Devices registered in bulk: a JSON array, or a JSON object in each line.

use axum::Json as Answer;
use axum::http::{HeaderMap, header};
use otter_protocol::ProblemCode;
use otter_protocol::admin::{
    ImportDevice, ImportOptions, Imported, MAX_IMPORT_BYTES, MAX_IMPORT_DEVICES, Place,
};

use crate::extract::{Operator, Query, Raw, Scoped, field_of, parse_json};
use crate::failure::{Failure, Result};

/// Media types of a JSON object in each line; none is registered, these are in use.
const LINES: [&str; 3] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
];

/// Registers devices before they enroll, up to 10,000 and 8 MiB at once: a JSON array, or a JSON object in each line
/// (`application/x-ndjson`). All or none are taken; those known already are counted and stay as they are.
#[utoipa::path(post, path = "/api/v1/devices/import", tag = "Devices", operation_id = "import_devices",
    params(ImportOptions),
    request_body(content((Vec<ImportDevice> = "application/json"), (ImportDevice = "application/x-ndjson"))),
    responses((status = 200, description = "How many were registered", body = Imported)))]
pub(crate) async fn import(
    Scoped(caller, fleet): Scoped<Operator>,
    Query(options): Query<ImportOptions>,
    raw: Raw<MAX_IMPORT_BYTES>,
) -> Result<Answer<Imported>> {
    let devices = if is_lines(&raw.headers)? {
        lines(&raw.bytes, options.first_line.unwrap_or(1))?
    } else {
        array(&raw.bytes)?
    };
    Ok(Answer(fleet.import_devices(&caller.actor, &devices).await?))
}

/// Tells by the media type whether each line is an object.
fn is_lines(headers: &HeaderMap) -> Result<bool> {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing");
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is = |one: &&str| essence.eq_ignore_ascii_case(one);
    if LINES.iter().any(&is) {
        return Ok(true);
    }
    if is(&"application/json") {
        return Ok(false);
    }
    let detail = format!(
        "Send a JSON array (Content-Type: application/json) or an object in each line (application/x-ndjson); this is {text}."
    );
    Err(Failure::new(ProblemCode::UnsupportedMediaType, detail))
}

type Devices = Vec<(Place, ImportDevice)>;

/// Reads an object from each line; empty lines count, and hold none.
fn lines(bytes: &[u8], first: u64) -> Result<Devices> {
    let mut devices = Devices::new();
    for (number, line) in (first..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        check_room(&devices)?;
        let place = Place::Line(number);
        devices.push((place, parse(place, line)?));
    }
    Ok(devices)
}

fn array(bytes: &[u8]) -> Result<Devices> {
    let devices: Vec<ImportDevice> = parse_json(bytes)?;
    let places = (0..).map(Place::Element);
    Ok(places.zip(devices).collect())
}

fn check_room(devices: &Devices) -> Result<()> {
    if devices.len() < MAX_IMPORT_DEVICES {
        return Ok(());
    }
    let detail = format!(
        "A request may hold {MAX_IMPORT_DEVICES} devices, this one has more; send them in several."
    );
    Err(Failure::new(ProblemCode::TooLarge, detail))
}

/// Reads one device; only where that fails is it read again, slowly, to find the field.
fn parse(place: Place, json: &[u8]) -> Result<ImportDevice> {
    serde_json::from_slice(json).map_err(|error| {
        let text = error.to_string();
        let mut reader = serde_json::Deserializer::from_slice(json);
        let path = match serde_path_to_error::deserialize::<_, ImportDevice>(&mut reader) {
            Err(error) => error.path().to_string(),
            Ok(_) => String::new(),
        };
        let is_syntax = !error.is_data();
        let field = field_of(&path, &text).filter(|_| !is_syntax);
        let field = field.map_or_else(|| place.to_string(), |field| place.field(&field));
        Failure::invalid(field, format!("In {place}: {text}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_count_and_hold_no_device() {
        let text = b"{\"id\":\"a\",\"model\":\"m\"}\r\n\n  {\"id\":\"b\",\"model\":\"m\"}";
        let places: Vec<Place> = lines(text, 11)
            .unwrap()
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        assert_eq!(places, [Place::Line(11), Place::Line(13)]);
        assert!(lines(b"\n", 1).unwrap().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named_by_place_and_field() {
        let field = |result: Result<Devices>| format!("{:?}", result.unwrap_err());
        for (text, expected) in [
            ("{\"id\":\"a\"}", "line 1: model"),
            ("\n{\"id\":\"\",\"model\":\"m\"}", "line 2: id"),
            (
                "{\"id\":\"a\",\"model\":\"m\",\"labels\":{\"x\":1}}",
                "line 1: labels.x",
            ),
        ] {
            let got = field(lines(text.as_bytes(), 1));
            assert!(got.contains(&format!("\"{expected}\"")), "{got}");
        }
        assert!(field(lines(b"{", 1)).contains("\"line 1\""));
        assert!(
            field(array(b"[{\"id\":\"a\",\"model\":\"m\"},{\"id\":\"b\"}]")).contains("[1].model")
        );
        assert!(array(b"{}").is_err());
    }
}
