//! Chromium without a window, as a reader of pages.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A page as it is after its scripts ran, and what the browser's console said meanwhile.
pub struct Opened {
    pub dom: String,
    pub console: Vec<String>,
}

/// Where Chromium is, if this machine has it.
pub fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|file| file.is_file())
}

/// How often a browser may be started for one page, and how long each time: on a busy machine one sometimes hangs
/// before it has read anything. A page that asks its reader something (`alert`) also never ends.
const ATTEMPTS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a page. `name` must be unique among tests: it names the files of this one.
pub fn open(chromium: &Path, name: &str, html: &str) -> Opened {
    let dir = std::env::temp_dir().join(format!("flotilla-report-{}-{name}", std::process::id()));
    let opened = (0..ATTEMPTS).find_map(|attempt| try_open(chromium, &dir.join(attempt.to_string()), html));
    std::fs::remove_dir_all(&dir).expect("our own directory");
    opened.unwrap_or_else(|| panic!("chromium did not open a page within {PATIENCE:?}, {ATTEMPTS} times"))
}

/// None: the browser hung, and is gone.
fn try_open(chromium: &Path, dir: &Path, html: &str) -> Option<Opened> {
    std::fs::create_dir_all(dir).expect("a temporary directory");
    let (page, dom, log) = (dir.join("page.html"), dir.join("dom"), dir.join("log"));
    std::fs::write(&page, html).expect("a page");
    let mut browser = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-quic",
            "--disable-sync",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--disable-breakpad", "--enable-logging=stderr", "--window-size=1400,2400", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(File::create(&dom).expect("a file"))
        .stderr(File::create(&log).expect("a file"))
        .process_group(0)
        .spawn()
        .expect("chromium starts");
    let ended = ended(&mut browser);
    // What it started goes with it.
    let group = format!("-{}", browser.id());
    let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
    let log = std::fs::read(&log).expect("a log");
    let log = String::from_utf8_lossy(&log).into_owned();
    if !ended {
        println!("chromium hung:\n{log}");
        browser.wait().expect("it was killed");
        return None;
    }
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    let dom = std::fs::read(&dom).expect("a document");
    Some(Opened { dom: String::from_utf8_lossy(&dom).into_owned(), console })
}

fn ended(browser: &mut Child) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = browser.try_wait().expect("our own child") {
            assert!(status.success(), "chromium failed: {status}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
