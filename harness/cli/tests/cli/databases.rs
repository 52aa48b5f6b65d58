//! `longhaul db`: checked, copied, thinned out, merged, between backends too.

use super::ground::{DB, Ended, Ground};
use longhaul_postgres::testing::Server;
use longhaul_record::{Alert, AlertState};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::{alert::alert, comparison::comparison};
use longhaul_store::{AlertFilter, Store, Upkeep};

pub(crate) fn a_database_is_checked_copied_and_thinned_out() {
    let ground = Ground::new();
    ground.longhaul(&["db", "check", "--db", DB]).refused(6, &["there is no database", "longhaul quickstart"]);
    ground.record_one();
    let db = |arguments: &[&str]| ground.longhaul(&[&["db"], arguments, &["--db", DB]].concat());
    db(&["check"]).says(0, "everything is as it was written");
    assert_eq!(db(&["check", "--json"]).json(), serde_json::json!({ "version": 1, "findings": [] }));
    db(&["backup", "copy.db"]).says(0, "copy.db: a copy of kept/longhaul.db, up to run ");
    db(&["backup", "copy.db"]).says(2, "copy.db: is there already");
    db(&["prune"]).says(2, "--older-than");
    db(&["prune", "--keep", "1"]).says(0, "dropped the series over time of 0 runs");
    db(&["prune", "--keep", "0", "--dry-run"]).says(0, "would drop the series over time of 1 runs");
    db(&["prune", "--keep", "0"]).says(0, "`longhaul db backup FILE` writes a compact copy");
    let nothing = db(&["prune", "--keep", "0", "--json"]).json();
    assert_eq!((nothing["runs"].as_u64(), nothing["bytes"].as_u64()), (Some(0), Some(0)));
    let pruned = &ground.records()[0];
    assert!(pruned.series.is_empty() && !pruned.samples.is_empty(), "every sample is kept");
    ground.spoil(DB);
    let ended = db(&["check"]);
    ended.says(6, "kept/longhaul.db: 1 findings");
    ended.says(6, "tally of ");
}

pub(crate) fn databases_are_merged_once() {
    let ground = Ground::new();
    ground.record_one();
    std::fs::copy(ground.path(DB), ground.path("other.db")).unwrap();
    ground.longhaul(&["db", "merge", "other.db", "missing.db", "--db", "all.db"]).says(6, "missing.db: there is no");
    assert!(!ground.path("all.db").exists(), "sources are opened first");
    let merge = || ground.longhaul(&["db", "merge", DB, "other.db", "--db", "all.db"]);
    let ended = merge();
    ended.says(0, "kept/longhaul.db: 1 new, 0 known, in all.db");
    ended.says(0, "other.db: 0 new, 1 known, in all.db");
    merge().says(0, "kept/longhaul.db: 0 new, 1 known, in all.db");
    ground.longhaul(&["db", "check", "--db", "all.db"]).says(0, "everything is as it was written");
}

/// What was made of runs goes with them; of an alert, the one of which more is known.
pub(crate) fn judgements_are_merged() {
    let ground = Ground::new();
    let (comparison, mut alert) = (comparison(1, None), alert(1));
    let open = |name: &str| SqliteStore::open(ground.path(name));
    let keep = |name: &str, alert: &Alert| {
        ground.block_on(async {
            let store = open(name).await.unwrap();
            store.insert_comparison(&comparison).await.unwrap();
            store.put_alerts(std::slice::from_ref(alert)).await.unwrap();
            store.close().await;
        });
    };
    keep("less.db", &alert);
    alert.become_state(AlertState::Acknowledged, 5, "me");
    keep("more.db", &alert);
    for sources in [["less.db", "more.db"], ["more.db", "less.db"]] {
        let all = format!("{}-all.db", sources[0]);
        ground.longhaul(&[&["db", "merge"][..], &sources, &["--db", &all]].concat()).says(0, "0 new, 0 known");
        ground.block_on(async {
            let store = open(&all).await.unwrap();
            assert_eq!(store.comparison(&comparison.id).await.unwrap().as_ref(), Some(&comparison));
            assert_eq!(store.alerts(&AlertFilter::default()).await.unwrap(), [alert.clone()]);
            store.close().await;
        });
    }
}

/// Why there is no server.
pub(crate) fn no_server() -> Option<String> {
    Server::start().err()
}

pub(crate) fn runs_go_to_a_server_and_come_back() {
    let ground = Ground::new();
    let run = ground.record_one();
    let server = Server::start().unwrap();
    let address = format!("{}&password=hunter2", ground.block_on(server.database()));
    let shown = address.replace("&password=hunter2", "");
    let quiet = |ended: Ended| {
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        ended
    };
    quiet(ground.longhaul(&["db", "check", "--db", &address])).says(6, "nothing was recorded there yet");
    let merged = quiet(ground.longhaul(&["db", "merge", DB, "--db", &address]));
    merged.says(0, &format!("kept/longhaul.db: 1 new, 0 known, in {shown}"));
    quiet(ground.longhaul(&["db", "check", "--db", &address])).says(0, &format!("{shown}: everything"));
    quiet(ground.longhaul(&["db", "backup", "copy", "--db", &address])).says(2, "pg_dump --format=custom");
    quiet(ground.longhaul(&["db", "prune", "--keep", "0", "--db", &address])).says(0, "of 1 runs");
    let wrong = "postgres://longhaul:hunter2@localhost:port/t";
    quiet(ground.longhaul(&["db", "check", "--db", wrong])).says(2, "not an address of a database");
    std::fs::remove_file(ground.path(DB)).unwrap();
    quiet(ground.longhaul(&["db", "merge", &address, "--db", DB])).says(0, &format!("{shown}: 1 new"));
    let back = &ground.records()[0];
    assert_eq!((&back.id, &back.samples), (&run.id, &run.samples));
    let serving = ground.start(&["serve", "--listen", "127.0.0.1:0", "--db", &address]);
    assert!(serving.says().starts_with("dashboard: http://"));
    serving.signal(nix::sys::signal::Signal::SIGTERM);
    quiet(serving.end());
}
