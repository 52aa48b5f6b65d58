//! That the self check measures what it says. How fast anything is, is for its report alone.

use netsim_lab::{Effort, Unit, self_check};

pub(crate) fn a_short_self_check_is_sane() {
    let report = self_check(&Effort::SMOKE, &mut |_| {}).unwrap();
    assert_eq!(report.no_veth, None, "a machine that has labs has veth");
    for figure in &report.figures {
        let text = format!("{figure:?}");
        assert_eq!(figure.ours.rounds, 1, "{text}");
        // A thousand times off is a wrong unit, a hundred times may be a busy machine.
        let plausible = match (figure.id, figure.unit) {
            (_, Unit::BitsPerSecond) => 1e6..1e12,
            (_, Unit::PacketsPerSecond) => 1e3..1e8,
            (_, Unit::Share) => 0.5..1.5,
            ("cpu_per_packet", _) => 1e-8..1e-3,
            // Time stamps are taken by different clocks of the kernel: an error may look slightly negative.
            (id, _) if id.starts_with("rtt_error") => -1e-3..1.0,
            (_, Unit::Seconds) => 1e-7..5.0,
        };
        assert!(plausible.contains(&figure.ours.median), "{text}");
        assert!(figure.yardstick.is_none_or(|(_, spread)| spread.median > -1e-3), "{text}");
    }
    let ids: Vec<&str> = report.figures.iter().map(|figure| figure.id).collect();
    assert_eq!(ids.len(), 17, "{ids:?}");
    let compared = report.figures.iter().filter(|figure| figure.yardstick.is_some()).count();
    assert_eq!(compared, 12, "{ids:?}");
}
