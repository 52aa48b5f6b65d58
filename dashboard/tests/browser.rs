//! The pages in a real browser: headless Chromium, driven through chromedriver.
//!
//! Where either is missing every test is reported as ignored, with the reason. With `LONGHAUL_SCREENSHOTS=DIR` the same
//! target also writes a picture of each page, from the database named by `LONGHAUL_SCREENSHOT_DB` or from invented
//! data.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod browser {
    pub(crate) mod driver;
    pub(crate) mod pages;
    pub(crate) mod script;
}

mod invented;

use browser::driver::Driver;
use browser::{pages, script};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One browser at a time: they are large, and the machine may be small.
    arguments.test_threads = Some(1);
    let driver = Driver::find();
    if let Err(reason) = &driver {
        println!("SKIPPED: browser tests: {reason}");
    }
    let driver = driver.ok().map(Arc::new);
    let shots = std::env::var_os("LONGHAUL_SCREENSHOTS");
    let mut trials: Vec<Trial> = pages::CASES
        .iter()
        .chain(script::CASES)
        .map(|(name, case)| {
            let driver = driver.clone();
            let ignored = driver.is_none();
            Trial::test(*name, move || on(driver.as_deref(), *case)).with_ignored_flag(ignored)
        })
        .collect();
    let axe = std::env::var_os("LONGHAUL_AXE");
    if axe.is_none() {
        println!("SKIPPED: accessibility: LONGHAUL_AXE names no axe.min.js (npm: axe-core)");
    }
    let (ignored, own) = (driver.is_none() || axe.is_none(), driver.clone());
    trials.push(
        Trial::test("axe_finds_nothing_serious", move || on(own.as_deref(), script::accessible))
            .with_ignored_flag(ignored),
    );
    let ignored = driver.is_none() || shots.is_none();
    if shots.is_none() {
        println!("SKIPPED: screenshots: LONGHAUL_SCREENSHOTS names no directory to write them to");
    }
    trials
        .push(Trial::test("screenshots", move || on(driver.as_deref(), pages::screenshots)).with_ignored_flag(ignored));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn on(driver: Option<&Driver>, case: pages::Case) -> Result<(), Failed> {
    let driver = driver.ok_or("neither chromium nor chromedriver were found, and yet this test was asked for")?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    Ok(runtime.block_on(case(driver))?)
}
