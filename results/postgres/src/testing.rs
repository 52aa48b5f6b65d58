//! A private PostgreSQL server, for tests: on a socket of its own in a directory of its own, without TCP.

use crate::PostgresStore;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// "nobody": PostgreSQL refuses to be root, and wants a user that has a name.
const NOBODY: u32 = 65534;

/// A server that ends with this value.
#[derive(Debug)]
pub struct Server {
    process: Child,
    directory: TempDir,
    programs: PathBuf,
    settings: &'static [&'static str],
    databases: AtomicU32,
}

impl Server {
    /// Makes and starts a server that forgets everything in a power cut: nobody needs it after the test. The error is the
    /// reason why there cannot be one here.
    pub fn start() -> Result<Server, String> {
        Server::with(&["-c", "fsync=off"])
    }

    /// Makes and starts a server as careful as PostgreSQL is by itself.
    pub fn durable() -> Result<Server, String> {
        Server::with(&[])
    }

    /// The version of its programs, for people.
    pub fn version(&self) -> String {
        let version = self.programs.parent().and_then(Path::file_name).unwrap_or_default();
        version.to_string_lossy().into_owned()
    }

    fn with(settings: &'static [&'static str]) -> Result<Server, String> {
        let programs = programs().ok_or("PostgreSQL is not installed (Debian: apt-get install postgresql)")?;
        let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).map_err(|error| format!("chown: {error}"))?;
        }
        let data = directory.path().join("data");
        let made = unprivileged(&programs.join("initdb"))
            .args(["--auth=trust", "--username=longhaul", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir(directory.path())
            .output()
            .map_err(|error| format!("initdb cannot be started: {error}"))?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let process = run(&programs, directory.path(), settings).map_err(|error| format!("postgres: {error}"))?;
        Ok(Server { process, directory, programs, settings, databases: AtomicU32::new(0) })
    }

    /// The address of a new, empty database.
    pub async fn database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // The name is our own.
        let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        self.execute("postgres", sql).await;
        self.address(&name)
    }

    /// The address of a database of this server.
    pub fn address(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=longhaul", self.directory.path().display())
    }

    /// Changes a database behind longhaul's back.
    pub async fn execute(&self, database: &str, sql: impl sqlx::SqlSafeStr + Send) {
        use sqlx::Connection;
        let connected = sqlx::PgConnection::connect(&self.address(database)).await;
        let mut db = connected.unwrap_or_else(|error| panic!("{database}: {error}"));
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap_or_else(|error| panic!("{database}: {error}"));
        db.close().await.unwrap_or_else(|error| panic!("{database}: {error}"));
    }

    /// Kills the server and all its processes, as a power cut would but for the disk, and starts it anew.
    pub fn crash(&mut self) -> io::Result<()> {
        /// Until the processes of the dead one have noticed, its shared memory is in use.
        const ATTEMPTS: u32 = 500;
        let _ = self.process.kill();
        self.process.wait()?;
        for _ in 1..ATTEMPTS {
            if let Ok(process) = run(&self.programs, self.directory.path(), self.settings) {
                self.process = process;
                return Ok(());
            }
        }
        self.process = run(&self.programs, self.directory.path(), self.settings)?;
        Ok(())
    }
}

/// Bytes that samples take, and bytes of everything, after what autovacuum does in quiet times.
pub async fn sample_bytes(store: &PostgresStore) -> Result<(u64, u64), sqlx::Error> {
    sqlx::raw_sql("VACUUM ANALYZE").execute(store.pool()).await?;
    let sql = "SELECT pg_total_relation_size('sheets'), pg_database_size(current_database())";
    let (samples, all): (i64, i64) = sqlx::query_as(sql).fetch_one(store.pool()).await?;
    Ok((samples.unsigned_abs(), all.unsigned_abs()))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Told to: its processes end with it, and take their shared memory along.
        let told = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// Starts the server, and returns when it takes connections.
fn run(programs: &Path, directory: &Path, settings: &[&str]) -> io::Result<Child> {
    let mut process = unprivileged(&programs.join("postgres"))
        .arg("-D")
        .arg(directory.join("data"))
        .arg("-k")
        .arg(directory)
        .args([
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "log_destination=stderr",
            "-c",
            "max_connections=200",
        ])
        .args(settings)
        .current_dir(directory)
        .stderr(Stdio::piped())
        .spawn()?;
    let log = process.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
    let mut log = BufReader::new(log);
    let (mut said, mut line) = (String::new(), String::new());
    while log.read_line(&mut line)? > 0 {
        if line.contains("ready to accept connections") {
            // What else it says must go somewhere, or it would block.
            std::thread::spawn(move || io::copy(&mut log, &mut io::sink()));
            return Ok(process);
        }
        said.push_str(&std::mem::take(&mut line));
    }
    process.wait()?;
    Err(io::Error::other(said))
}

/// A program of PostgreSQL's.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = NOBODY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Where the newest installed version's programs are: Debian keeps each version's apart, out of the path.
fn programs() -> Option<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let newest = versions.filter(|path| path.join("bin/initdb").exists()).max_by_key(|path| number(path))?;
    Some(newest.join("bin"))
}
