//! For tests only: records to store, the contract every backend has to pass, and writers that are killed.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

pub mod alert;
pub mod comparison;
pub mod contract;
pub mod crash;
pub mod pages;
pub mod sample;
