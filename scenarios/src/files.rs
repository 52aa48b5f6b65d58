//! Files that a scenario names: this crate does not read them itself.

use crate::error::FileError;
use std::io;

/// Reads a text file that a scenario names, by the path as written there.
pub type Read<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// The scenario file being read, and how it gets at others.
pub(crate) struct Files<'a> {
    /// Its name for messages.
    pub(crate) name: &'a str,
    pub(crate) read: Read<'a>,
}

impl Files<'_> {
    pub(crate) fn error(&self, key: impl Into<String>, message: impl Into<String>) -> FileError {
        FileError::new(self.name, key, message)
    }

    /// The text of the file `path`, made sense of by `parse`.
    pub(crate) fn load<T, E: std::error::Error>(
        &self,
        key: &str,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, FileError> {
        let text = (self.read)(path).map_err(|error| {
            self.error(key, format!("cannot read \"{path}\": {error}; paths start at the scenario file's directory"))
        })?;
        parse(&text).map_err(|error| self.error(key, format!("\"{path}\": {error}")))
    }
}

/// For scenarios that stand alone.
pub(crate) fn none(_: &str) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this scenario cannot bring files"))
}
