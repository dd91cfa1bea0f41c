//! The payload of a request, as a person gives it.

use serde_json::Value;

use crate::Stop;
use crate::document::{cannot_read, standard_input};

/// Reads a payload: JSON, `@FILE`, or `-` for standard input.
pub(crate) fn read(argument: Option<&str>) -> Result<Option<Value>, Stop> {
    let Some(argument) = argument else { return Ok(None) };
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| Stop::because(cannot_read(path, &error)))?,
        None if argument == "-" => standard_input("the payload")?,
        None => argument.to_owned(),
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| {
        Stop::because(format!("the payload is no JSON: {error}; in a shell, quote it: '{{\"symbol\":\"AAPL\"}}'"))
    })
}
