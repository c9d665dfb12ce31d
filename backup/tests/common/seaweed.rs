//! A real S3 server for tests: SeaweedFS, brought by `scripts/seaweedfs.sh`, on ports of its own, gone with this value.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub const ACCESS_KEY: &str = "flotilla-test-key";
pub const SECRET_KEY: &str = "flotilla-test-secret";

/// A server.
pub struct Seaweed {
    child: Child,
    weed: PathBuf,
    dir: tempfile::TempDir,
    /// master, volume, filer, s3; each with a gRPC port 10 000 above.
    ports: [u16; 4],
    // One server at a time in a test process: the machine may be small.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// The program. None: it cannot be had here, and the test says that it did not run.
fn weed() -> Option<&'static Path> {
    static WEED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = WEED.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/seaweedfs.sh");
        let run = Command::new("bash").arg(script).stderr(Stdio::inherit()).output().ok()?;
        run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().into())
    });
    found.as_deref()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn ports() -> [u16; 4] {
    let mut found = Vec::new();
    let mut port = 20_000 + (std::process::id() % 5_000) as u16 * 4;
    while found.len() < 4 {
        port = if port > 50_000 { 20_000 } else { port + 1 };
        if is_free(port) && is_free(port + 10_000) {
            found.push(port);
        }
    }
    [found[0], found[1], found[2], found[3]]
}

impl Seaweed {
    /// Starts a server with an empty bucket. None, with a word on stderr: this machine cannot have one.
    pub fn start(bucket: &str) -> Option<Self> {
        let Some(weed) = weed() else {
            eprintln!("SKIPPED: no SeaweedFS here, so nothing was tried against a real S3 server");
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let identities = format!(
            r#"{{"identities":[{{"name":"t","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        std::fs::write(dir.path().join("identities.json"), identities).unwrap();
        let ports = ports();
        let child = run(weed, dir.path(), ports);
        let server = Self { child, weed: weed.to_owned(), dir, ports, _turn: turn };
        server.wait(bucket);
        Some(server)
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[3])
    }

    /// Kills it, as a power cut would its processes.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it had.
    pub fn restart(&mut self, bucket: &str) {
        self.child = run(&self.weed, self.dir.path(), self.ports);
        self.wait(bucket);
    }

    /// Up when a bucket can be made and an object written: the S3 port answers long before.
    fn wait(&self, bucket: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // Again and again: "409, it exists" is a no, and as good as a yes.
            self.filer(&format!("POST /buckets/{bucket}/"), b"");
            if self.filer(&format!("PUT /buckets/{bucket}/.up"), b"up") && self.answers() {
                return;
            }
            assert!(Instant::now() < deadline, "SeaweedFS does not come up:\n{}", self.last_words());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn answers(&self) -> bool {
        request(self.ports[3], "GET /", b"").is_some_and(|answer| answer.starts_with("HTTP/1.1 "))
    }

    fn filer(&self, what: &str, body: &[u8]) -> bool {
        request(self.ports[2], what, body).is_some_and(|answer| answer.starts_with("HTTP/1.1 2"))
    }
}

fn request(port: u16, what: &str, body: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let length = body.len();
    let head = format!(
        "{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn run(weed: &Path, dir: &Path, [master, volume, filer, s3]: [u16; 4]) -> Child {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    Command::new(weed)
        .args(["-logtostderr", "server", "-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        .arg(format!("-dir={}", data.display()))
        .arg(format!("-s3.config={}", dir.join("identities.json").display()))
        .args([
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            format!("-filer.port={filer}"),
            format!("-s3.port={s3}"),
        ])
        .args([
            "-volume.max=100",
            "-volume.preStopSeconds=0",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=512",
        ])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
