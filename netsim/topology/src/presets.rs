//! Networks and equipment by the names people know them by: each expands into the terms of the model, and says where its
//! values come from.

pub(crate) mod link;
pub(crate) mod nat;
pub(crate) mod region;
