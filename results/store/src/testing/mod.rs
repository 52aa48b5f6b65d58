//! For tests only: records to store, and the contract every backend has to pass.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

pub mod comparison;
pub mod contract;
pub mod sample;
