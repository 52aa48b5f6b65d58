//! Starting chromedriver and Chromium, and what the WebDriver standard leaves out.

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use url::{ParseError, Url};

/// How long chromedriver may take to start.
const STARTUP: Duration = Duration::from_secs(30);

pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The two programs.
pub(crate) struct Driver {
    chromium: PathBuf,
    chromedriver: PathBuf,
}

/// A browser of its own, ended with its driver when dropped.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    profile: tempfile::TempDir,
}

impl Driver {
    pub(crate) fn find() -> Outcome<Driver> {
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"])?;
        let chromedriver = program(&["chromedriver"])?;
        Ok(Driver { chromium, chromedriver })
    }

    pub(crate) async fn start(&self) -> Outcome<Browser> {
        let profile = tempfile::tempdir().map_err(text)?;
        let (driver, port) = self.chromedriver()?;
        let user_data = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless=new",
            // Chromium refuses to sandbox itself as root; it only ever sees our own pages here.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &user_data,
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "binary": self.chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { return Err("capabilities are an object".into()) };
        let mut browser = PendingDriver(Some(driver));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .map_err(text)?;
        let driver = browser.0.take().ok_or("the driver is there")?;
        Ok(Browser { client, driver, profile })
    }

    /// Port 0 lets chromedriver choose one that is free; it prints which.
    fn chromedriver(&self) -> Outcome<(Child, u16)> {
        let mut child = Command::new(&self.chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(text)?;
        let output = child.stdout.take().ok_or("chromedriver has an output")?;
        let mut pending = PendingDriver(Some(child));
        let (sender, ports) = mpsc::channel();
        // Reads on to the end, so that chromedriver never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let port = line
                    .trim_end_matches('.')
                    .rsplit_once("successfully on port ")
                    .and_then(|(_, port)| port.parse().ok());
                if let Some(port) = port {
                    // Nobody listens any more after the first.
                    let _ = sender.send(port);
                }
            }
        });
        let port = ports.recv_timeout(STARTUP).map_err(|_| "chromedriver did not say its port")?;
        Ok((pending.0.take().ok_or("the driver is there")?, port))
    }
}

/// Ends a driver that no browser owns yet.
struct PendingDriver(Option<Child>);

impl Drop for PendingDriver {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

impl Drop for Browser {
    /// A test that failed did not close its browser, and chromedriver's end alone would leave it running. While it
    /// runs, its profile holds a link named after the machine and its process.
    fn drop(&mut self) {
        let lock = std::fs::read_link(self.profile.path().join("SingletonLock")).unwrap_or_default();
        let process = lock.to_string_lossy().rsplit_once('-').and_then(|(_, pid)| pid.parse::<u32>().ok());
        if let Some(process) = process {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        end(&mut self.driver);
    }
}

fn end(child: &mut Child) {
    // Ending fails only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

impl Browser {
    /// Closes the browser in order; dropping alone leaves that to chromedriver's end.
    pub(crate) async fn close(self) -> Outcome {
        self.client.clone().close().await.map_err(text)
    }

    pub(crate) async fn goto(&self, url: &str) -> Outcome {
        self.client.goto(url).await.map_err(text)
    }

    pub(crate) async fn eval(&self, script: &str) -> Outcome<Value> {
        self.client.execute(script, vec![]).await.map_err(|error| format!("{error} in {script}"))
    }

    pub(crate) async fn click(&self, css: &str) -> Outcome {
        let element = self.client.find(Locator::Css(css)).await.map_err(|e| format!("{css}: {e}"))?;
        element.click().await.map_err(|error| format!("{css}: {error}"))
    }

    pub(crate) async fn text(&self, css: &str) -> Outcome<String> {
        let element = self.client.find(Locator::Css(css)).await.map_err(|e| format!("{css}: {e}"))?;
        element.text().await.map_err(text)
    }

    /// The size of the window as pages see it.
    pub(crate) async fn resize(&self, width: u32, height: u32) -> Outcome {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await
    }

    pub(crate) async fn scheme(&self, scheme: &str) -> Outcome {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await
    }

    /// Whether pages may run scripts.
    pub(crate) async fn scripts(&self, may: bool) -> Outcome {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !may })).await
    }

    /// The pointer over a place of the window; with `button`, as it moves or presses.
    pub(crate) async fn pointer(&self, kind: &str, x: f64, y: f64) -> Outcome {
        let pressed = u8::from(kind != "mouseMoved");
        let event = json!({ "type": kind, "x": x, "y": y, "button": if pressed == 1 { "left" } else { "none" }, "clickCount": pressed });
        self.devtools("Input.dispatchMouseEvent", event).await
    }

    /// A key of the keyboard, pressed and let go.
    pub(crate) async fn key(&self, key: &str, code: u32) -> Outcome {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.devtools("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Waits until `script` is true: what follows an event is done when it is done.
    pub(crate) async fn until(&self, script: &str) -> Outcome {
        let deadline = tokio::time::Instant::now() + STARTUP;
        loop {
            // While a page is left there is nothing to ask.
            if matches!(self.eval(script).await, Ok(Value::Bool(true))) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let (page, said) = (self.eval("return location.href").await, self.console().await);
                return Err(format!("never came true: {script}, at {page:?}, console {said:?}"));
            }
        }
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Outcome {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Extra { path: "goog/cdp/execute", body }).await.map_err(text)?;
        Ok(())
    }

    /// What the console said since the last question: errors, refused resources, broken policies.
    pub(crate) async fn console(&self) -> Outcome<Vec<String>> {
        let said = self.client.issue_cmd(Extra { path: "se/log", body: json!({ "type": "browser" }) }).await;
        let said = said.map_err(text)?;
        let entries = said.as_array().ok_or("the log is a list")?;
        Ok(entries.iter().map(|entry| entry["message"].to_string()).collect())
    }
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// The first of `names` that is on the search path.
fn program(names: &[&str]) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|file| file.is_file())
        .ok_or(format!("{} is not installed (Debian: apt-get install chromium chromium-driver)", names[0]))
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
