//! What the flows beside a transfer did, as a table of a run's page.

use longhaul_record::{CrossKind, CrossReport, text};
use maud::{Markup, html};

/// The table; nothing where there was none.
pub(crate) fn cross(flows: &[CrossReport]) -> Markup {
    html! {
        @if !flows.is_empty() {
            h2 { "Other traffic meanwhile" }
            div.table {
                table {
                    thead {
                        tr {
                            th { "Flow" } th { "Asked for" } th.n { "From" } th.n { "To" } th.n { "Sent" }
                            th.n { "Received" } th.n { "Packets lost" } th.n { "Goodput" }
                        }
                    }
                    tbody { @for flow in flows { (cross_row(flow)) } }
                }
            }
        }
    }
}

fn cross_row(flow: &CrossReport) -> Markup {
    let time = |ns: Option<u64>| ns.map_or_else(|| "–".into(), |ns| text::seconds(ns as f64 / 1e9));
    html! {
        tr {
            td.nowrap {
                (flow.label())
                @if let Some(failure) = &flow.failure { span.below.bad { (failure) } }
            }
            td {
                @match &flow.kind {
                    CrossKind::Tcp { congestion } => { "as fast as it may" span.below { (congestion) } }
                    CrossKind::Udp { rate_bps, packet_bytes, due_packets, sent_packets } => {
                        (text::trimmed(text::bits_per_second(*rate_bps as f64))) ", packets of " (packet_bytes) " bytes"
                        @if due_packets > sent_packets {
                            span.below { (text::count((due_packets - sent_packets) as f64)) " not sent in time" }
                        }
                    }
                }
            }
            td.n { (time(flow.started_ns)) }
            td.n { (time(flow.stopped_ns)) }
            td.n { (text::bytes(flow.sent_bytes as f64)) }
            td.n { (text::bytes(flow.received_bytes as f64)) }
            td.n {
                (text::count(flow.lost_packets as f64))
                @if matches!(flow.kind, CrossKind::Tcp { .. }) { span.below { "sent again" } }
            }
            td.n { (text::bits_per_second(flow.goodput_bps)) }
        }
    }
}
