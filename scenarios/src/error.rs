//! Errors that name the file, the key and the fix.

use serde::de::DeserializeOwned;

/// Why a file cannot be used. Says where, what and what to do, on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{message}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
pub struct FileError {
    /// The file's name, as the user knows it.
    pub file: String,
    /// Path of the key, for example `router[0].uplink.up.delay`.
    pub key: Option<String>,
    /// What is wrong, and the fix.
    pub message: String,
}

impl FileError {
    pub(crate) fn new(file: &str, key: impl Into<String>, message: impl Into<String>) -> FileError {
        FileError { file: file.into(), key: Some(key.into()), message: message.into() }
    }
}

/// Reads `text` into a type of the file as written.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    let whole = |error: &toml::de::Error| FileError {
        file: file.into(),
        key: None,
        message: format!("{}not valid TOML: {}", position(text, error), error.message()),
    };
    let document = toml::Deserializer::parse(text).map_err(|error| whole(&error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let inner = error.into_inner();
        let message = with_suggestion(inner.message());
        FileError {
            file: file.into(),
            key: Some(key).filter(|key| key != "."),
            message: position(text, &inner) + &message,
        }
    })
}

/// Reads a table into a type of the file as written. Where a key is in the text is not known any more.
pub(crate) fn read<T: DeserializeOwned>(file: &str, table: toml::Table) -> Result<T, FileError> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let key = error.path().to_string();
        let message = with_suggestion(error.into_inner().message());
        FileError { file: file.into(), key: Some(key).filter(|key| key != "."), message }
    })
}

/// `line 3: `, or nothing if the parser does not say.
fn position(text: &str, error: &toml::de::Error) -> String {
    error.span().map_or_else(String::new, |span| {
        let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
        format!("line {line}: ")
    })
}

/// serde says: unknown field `x`, expected one of `a`, `b`. Names the nearest of them.
fn with_suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(unknown), known) = (quoted.next(), quoted.collect::<Vec<_>>()) else { return message.into() };
    if !message.starts_with("unknown") {
        return message.into();
    }
    match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message.into(),
    }
}

/// The known word that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(word, known);
    known.into_iter().filter(|known| likeness(known) > 0.75).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
