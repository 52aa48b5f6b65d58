//! Which paths and link targets are safe to write below a directory, wherever it lies.
//!
//! Both ends ask: a provider before it lists something, a fetcher before it believes a list. **Invariant:** what passes
//! here means a place below the tree's root, on this system and on another, also after every link in the tree has been
//! followed. For links that holds by induction. A target may go up only at its beginning, where the way leads through the
//! real directories around the link and so cannot leave the root; after that it only goes down, and what it meets on the
//! way down is a directory, a file, or a link of which the same is true. A `..` after a name could go up from wherever
//! another link led.

/// The longest path or target in bytes. Linux itself takes 4,095.
pub const MAX_PATH_BYTES: usize = 4000;

/// The longest path component in bytes (`NAME_MAX`).
pub const MAX_COMPONENT_BYTES: usize = 255;

/// Checks the path of an entry, relative to the root. Returns what is wrong with it, if anything.
pub fn path_fault(path: &str) -> Option<&'static str> {
    if let Some(fault) = text_fault(path) {
        Some(fault)
    } else if path.split('/').any(str::is_empty) {
        Some("it has an empty component")
    } else if path.split('/').any(|component| component == "." || component == "..") {
        Some("it has a `.` or `..` component")
    } else {
        None
    }
}

/// Checks where the link at `path`, which is safe itself, leads. Returns what is wrong with `target`, if anything.
pub fn target_fault(path: &str, target: &str) -> Option<&'static str> {
    if let Some(fault) = text_fault(target) {
        return Some(fault);
    }
    let names = target.split('/').filter(|component| !component.is_empty() && *component != ".");
    let ups = names.clone().take_while(|component| *component == "..").count();
    let parents = path.split('/').count() - 1;
    if ups > parents {
        Some("it leads out of the tree")
    } else if names.skip(ups).any(|component| component == "..") {
        Some("it goes up again after going down, which could lead out of the tree through another link")
    } else {
        None
    }
}

fn text_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > MAX_PATH_BYTES {
        Some("it is too long")
    } else if text.starts_with('/') {
        Some("it is absolute")
    } else if text.contains('\0') {
        Some("it contains a NUL byte")
    } else if text.contains('\\') {
        Some("it contains a backslash, which some systems take for a separator")
    } else if text.split('/').any(|component| component.len() > MAX_COMPONENT_BYTES) {
        Some("it has a component that is too long")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_within_the_tree() {
        let long = "x".repeat(256);
        let rows = [
            ("a", "b", None),
            ("a", "./b/", None),
            ("a", "b//c/.", None),
            ("d/a", "../b", None),
            ("d/e/a", "../../b/c", None),
            ("d/e/a", ".././../b", None),
            ("d/a", "..", None),
            ("a", "missing", None),
            ("a", "...", None),
            ("a", "", Some("empty")),
            ("a", "/etc/passwd", Some("absolute")),
            ("a", "..", Some("out of the tree")),
            ("d/a", "../../b", Some("out of the tree")),
            ("d/a", "./..//../b", Some("out of the tree")),
            ("a", "b/../c", Some("goes up again")),
            ("d/a", "../b/../../c", Some("goes up again")),
            ("a", "b\\c", Some("backslash")),
            ("a", "b\0", Some("NUL")),
            ("a", &long, Some("component that is too long")),
        ];
        for (path, target, expect) in rows {
            let fault = target_fault(path, target);
            let agrees = match expect {
                None => fault.is_none(),
                Some(words) => fault.is_some_and(|fault| fault.contains(words)),
            };
            assert!(agrees, "{path:?} -> {target:?}: {fault:?} instead of {expect:?}");
        }
    }
}
