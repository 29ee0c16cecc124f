//! PostgreSQL servers of the tests' own, in temporary folders.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const PASSWORD: &str = "not to be printed";

/// A server that ends with this value, or with the process.
pub struct Server {
    folder: tempfile::TempDir,
    options: Vec<String>,
    port: u16,
    running: Mutex<Option<Running>>,
    schemas: AtomicU32,
}

struct Running {
    pid: u32,
    waiter: JoinHandle<()>,
}

impl Server {
    /// The server that tests of one program share. `None` where there is no PostgreSQL, which is then
    /// said.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start(&["fsync=off"])?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Starts a server with some settings.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_in(std::env::temp_dir().as_path(), settings)
    }

    /// Starts a server whose files are in a folder.
    pub fn start_in(parent: &Path, settings: &[&str]) -> Option<Self> {
        let Some(initdb) = program("initdb") else {
            // Tests that pass print nothing else.
            let note = "left out: there is no PostgreSQL here (initdb is not found)\n";
            std::io::stderr().write_all(note.as_bytes()).unwrap();
            return None;
        };
        let folder = tempfile::Builder::new().prefix("earmark-pg").tempdir_in(parent).unwrap();
        if is_root() {
            let owner = format!("{0}:{0}", user());
            run(Command::new("chown").arg(owner).arg(folder.path()));
        }
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let data = folder.path().join("data");
        let auth = ["-A", "scram-sha-256", "-U", "tester", "-E", "UTF8", "--no-locale", "-N"];
        run(as_user(&initdb).arg("-D").arg(&data).arg("--pwfile").arg(&password).args(auth));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let usual = ["listen_addresses=127.0.0.1", "max_connections=200", "shared_buffers=64MB"];
        let own = [
            format!("port={port}"),
            format!("unix_socket_directories={}", folder.path().display()),
        ];
        let options = usual.iter().chain(settings).map(|s| s.to_string()).chain(own).collect();
        let (running, schemas) = (Mutex::new(None), AtomicU32::new(0));
        let server = Self { folder, options, port, running, schemas };
        server.begin();
        Some(server)
    }

    /// Starts it, after a kill.
    pub fn begin(&self) {
        let begun = Instant::now();
        self.spawn();
        while let Err(error) = postgres::Client::connect(&self.url(), postgres::NoTls) {
            let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "{error}\n{}", log());
            thread::sleep(Duration::from_millis(10));
            // It does not start while what it had in memory is still held.
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.as_ref().is_none_or(|running| running.waiter.is_finished()) {
                drop(running);
                self.spawn();
            }
        }
    }

    fn spawn(&self) {
        let mut command = as_user(program("postgres").unwrap());
        command.arg("-D").arg(self.data());
        for option in &self.options {
            command.arg("-c").arg(option);
        }
        let log = std::fs::File::options().append(true).create(true).open(self.log()).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // The server is told when the thread ends that started it, so that is one that waits for it.
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            tell.send(child.id()).unwrap();
            let _ = child.wait();
        });
        let pid = told.recv().unwrap();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { pid, waiter });
    }

    /// Ends it: `KILL` at once and without a word, `QUIT` at once, `INT` in order.
    pub fn end(&self, signal: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { pid, waiter }) = running {
            let mut all = vec![pid.to_string()];
            if signal == "KILL" {
                // Its processes, too: they would go on for a moment.
                let children = Command::new("pgrep").args(["-P", &pid.to_string()]).output();
                let children = children.map(|output| output.stdout).unwrap_or_default();
                all.extend(String::from_utf8_lossy(&children).lines().map(String::from));
            }
            let _ = Command::new("kill")
                .arg(format!("-{signal}"))
                .args(all)
                .stderr(Stdio::null())
                .status();
            let _ = waiter.join();
        }
    }

    /// Sends a signal to all its processes, which go on as far as that lets them.
    pub fn signal(&self, signal: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running { pid, .. }) = &*running {
            let group = format!("-{pid}");
            let _ = Command::new("kill").args([&format!("-{signal}"), "--", &group]).status();
        }
    }

    /// Connects as one who may do everything.
    pub fn url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("postgres://tester:{password}@127.0.0.1:{}/postgres", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn client(&self) -> postgres::Client {
        postgres::Client::connect(&self.url(), postgres::NoTls).unwrap()
    }

    /// A store in a schema of its own, without tables.
    pub fn store(&self) -> earmark::postgres::Store {
        let schema = format!("test_{}", self.schemas.fetch_add(1, Relaxed));
        earmark::postgres::Store::connect(&self.url()).unwrap().in_schema(&schema).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

/// A program of PostgreSQL: in the path, or where Debian has it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for version in (12..30).rev() {
        folders.push(format!("/usr/lib/postgresql/{version}/bin").into());
    }
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether this is the superuser, as whom a server does not run.
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0")
}

/// As whom it runs then.
pub fn user() -> &'static str {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if passwd.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" }
}

/// A program that is told when this one ends.
fn as_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        let user = user();
        command.arg(format!("--reuid={user}")).arg("--clear-groups");
        let group = if user == "nobody" { "nogroup" } else { user };
        command.arg(format!("--regid={group}"));
    }
    command.arg(program.as_ref()).current_dir("/");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
