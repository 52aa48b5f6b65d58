//! The git repository a run belongs to.

use longhaul_record::CommitDetail;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository and one of its commits.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Its top directory.
    pub top: PathBuf,
    /// The project's name: what `git config longhaul.project` says, else the last part of the origin's address, else
    /// the top directory's name.
    pub project: String,
    /// The commit's full hash.
    pub commit: String,
    /// What else is known of it.
    pub detail: CommitDetail,
}

/// The repository `directory` is in, with the commit that is checked out; `None` outside one, without `git`, or before the
/// first commit.
pub fn repository(directory: &Path) -> Option<Repository> {
    let mut repository = described(directory, "HEAD")?;
    repository.detail.branch = branch(directory);
    // Untracked files are not part of a commit, and build results are untracked.
    let changes = git(directory, &["status", "--porcelain", "--untracked-files=no"]);
    repository.detail.dirty = changes.is_none_or(|changes| !changes.is_empty());
    Some(repository)
}

/// The repository `directory` is in, with the commit that `revision` names. `None` if it names none, or several.
pub fn repository_at(directory: &Path, revision: &str) -> Option<Repository> {
    // What looks like an option is none, and a tag is the commit it marks.
    let commit = format!("{revision}^{{commit}}");
    let commit = git(directory, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?;
    let mut repository = described(directory, &commit)?;
    let on_branch = git(directory, &["merge-base", "--is-ancestor", &commit, "HEAD"]).is_some();
    repository.detail.branch = branch(directory).filter(|_| on_branch);
    Some(repository)
}

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Full hash.
    pub commit: String,
    /// Full hashes of its parents.
    pub parents: Vec<String>,
    /// First line of the message. Untrusted text.
    pub summary: String,
}

/// The history that `range` names, as `git rev-list` takes it in one argument, by first parents, the oldest commit first. The
/// error is git's own.
pub fn history(directory: &Path, range: &str) -> Result<Vec<Revision>, String> {
    let list = ["rev-list", "--first-parent", "--reverse", "--format=%H%x00%P%x00%s", "--end-of-options", range, "--"];
    let output = Command::new("git").arg("-C").arg(directory).args(list).output();
    let output = output.map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned());
    }
    // Each commit has a heading, which holds no such byte.
    let revision = |line: &str| {
        let [commit, parents, summary] = line.split('\0').collect::<Vec<_>>().try_into().ok()?;
        let parents = parents.split_whitespace().map(str::to_owned).collect();
        Some(Revision { commit: commit.to_owned(), parents, summary: summary.to_owned() })
    };
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(revision).collect())
}

/// Whether the commit `older` is part of the history of `newer`.
pub fn is_ancestor(directory: &Path, older: &str, newer: &str) -> bool {
    git(directory, &["merge-base", "--is-ancestor", older, newer]).is_some()
}

fn branch(directory: &Path) -> Option<String> {
    git(directory, &["symbolic-ref", "--quiet", "--short", "HEAD"])
}

/// What is known of a commit itself.
fn described(directory: &Path, commit: &str) -> Option<Repository> {
    let top = PathBuf::from(git(directory, &["rev-parse", "--show-toplevel"])?);
    // Separated by bytes that no field holds: hash, parents, author date in seconds, first line of the message.
    let line = git(directory, &["log", "-1", "--format=%H%x00%P%x00%at%x00%s", commit])?;
    let mut fields = line.split('\0');
    let commit = fields.next()?.to_owned();
    let parents = fields.next()?.split_whitespace().map(str::to_owned).collect();
    let authored_ms = fields.next()?.parse::<i64>().ok()?.saturating_mul(1000);
    let summary = fields.next()?.to_owned();
    let project = project_name(directory, &top);
    let detail = CommitDetail { parents, authored_ms, branch: None, summary, dirty: false };
    Some(Repository { top, project, commit, detail })
}

/// Series are kept apart by this name, so it should be the same in every clone.
fn project_name(directory: &Path, top: &Path) -> String {
    let configured = git(directory, &["config", "longhaul.project"]);
    let origin = || git(directory, &["config", "remote.origin.url"]);
    let from_origin = |url: String| {
        let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        last.strip_suffix(".git").map_or(last.clone(), str::to_owned)
    };
    let directory_name = || top.file_name().map(|name| name.to_string_lossy().into_owned());
    configured
        .or_else(|| origin().map(from_origin))
        .filter(|name| !name.is_empty())
        .or_else(directory_name)
        .unwrap_or_else(|| "unnamed".into())
}

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.trim_end_matches('\n').to_owned())
}
