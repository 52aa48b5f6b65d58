//! The one place of this crate that reads a clock.

use jiff::Timestamp;

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
