//! The real server as a child process of a test: started, watched, killed and started again on the same data and ports.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tidings_client::{Client, Config, Outcome, TokenSource, core::Draft, queue::FileQueue};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    sync::RwLock,
    time::timeout,
};

/// How long a server may take to print its screen, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Last line of the start screen.
const LAST_LINE: &str = "(From a checkout";
/// Ports below the range the system hands out, so that nobody takes one while the server is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A process that is being started holds every file of this one for a moment, locks included: no queue is opened then.
static SPAWNING: RwLock<()> = RwLock::const_new(());

/// A server, running or not. Killed when dropped.
pub struct Server {
    dir: PathBuf,
    listen: SocketAddr,
    admin: SocketAddr,
    env: Vec<(String, String)>,
    running: Option<(Child, BufReader<ChildStdout>)>,
}

impl Server {
    /// Starts one on `dir/data` with these settings more, and waits until it is ready. Logs go to `dir/log`.
    pub async fn start(dir: &Path, env: &[(&str, &str)]) -> Self {
        let (listen, admin) = free_ports();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self { dir: dir.to_owned(), listen, admin, env, running: None };
        server.restart().await;
        server
    }

    /// Starts it again on the same data and ports, with the settings it has now.
    pub async fn restart(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = tidings_command();
        command
            .args(["serve", "--dev", "--listen", &self.listen.to_string(), "--data"])
            .arg(self.data())
            .env("TIDINGS_LISTEN_ADMIN", self.admin.to_string())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log);
        let spawning = SPAWNING.write().await;
        let mut child = command.spawn().unwrap();
        let mut screen = BufReader::new(child.stdout.take().unwrap());
        let ready = timeout(PATIENCE, ready(&mut screen)).await;
        drop(spawning);
        assert!(ready == Ok(true), "the server did not start: {}", self.log());
        self.running = Some((child, screen));
    }

    /// The value of a setting from the next start on; `None` takes it back.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.env.retain(|(known, _)| known != name);
        self.env.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// `kill -9`: returns when the process is gone.
    pub async fn kill(&mut self) {
        let (mut child, _screen) = self.running.take().expect("it runs");
        child.kill().await.unwrap();
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended().await
    }

    /// Asks it to stop (SIGTERM), and does not wait.
    pub fn ask_to_stop(&self) {
        let (child, _) = self.running.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let (mut child, _screen) = self.running.take().expect("it runs");
        timeout(PATIENCE, child.wait()).await.expect("it stops").unwrap()
    }

    /// Lets no file of the running server grow beyond so many bytes, as a disk that fails.
    pub fn limit_files_to(&self, bytes: u64) {
        let (child, _) = self.running.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    }

    /// Where operators look.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// One metric with these labels, as the exposition writes them; 0 when it was never touched.
    pub async fn labelled(&self, line: &str) -> f64 {
        let text = self.metrics().await;
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or(0.0)
    }

    /// Waits until so many are connected.
    pub async fn until_connections(&self, count: f64) {
        let reached = async { while self.labelled("tidings_connections_count").await != count {} };
        assert!(timeout(PATIENCE, reached).await.is_ok(), "not {count} connections: {}", self.metrics().await);
    }

    /// Waits until a metric has at least this value.
    pub async fn until_metric(&self, line: &str, least: f64) {
        let reached = async { while self.labelled(line).await < least {} };
        assert!(timeout(PATIENCE, reached).await.is_ok(), "{line} stays below {least}: {}", self.metrics().await);
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.listen)
    }

    /// Where clients connect, below HTTP.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What it logged so far, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A token for `uid`; good for every life of the server on this data.
    pub async fn token(&self, uid: &str) -> String {
        get(self.listen, &format!("/dev/token/{uid}")).await.trim().to_owned()
    }

    /// A client of `uid` on `device` that keeps what it must in a directory of its own.
    pub async fn client_config(&self, uid: &str, device: &str) -> Config {
        let mut config = Config::new(self.url(), TokenSource::fixed(self.token(uid).await), device);
        config.queue = Box::new(open_queue(&self.queue_dir(uid, device)).await);
        config.platform = "test".into();
        config
    }

    /// Where [`client_config`](Self::client_config) keeps the queue of a device.
    pub fn queue_dir(&self, uid: &str, device: &str) -> PathBuf {
        self.dir.join("clients").join(uid).join(device)
    }

    /// The metrics as text.
    pub async fn metrics(&self) -> String {
        get(self.admin, "/metrics").await
    }

    /// One metric, summed over its labels; 0 when it was never touched.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let of_name = text.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        of_name.sum()
    }

    /// Answer of a route of the clients' listener.
    pub async fn get(&self, path: &str) -> String {
        get(self.listen, path).await
    }

    /// Memory the process holds, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let (child, _) = self.running.as_ref().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// `tidings` with nothing of this machine's settings; killed when dropped. Every test starts it with this.
pub fn tidings_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("TIDINGS_")) {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true);
    command
}

/// Opens the durable queue in a directory of its own, which nobody else has open.
pub async fn open_queue(dir: &Path) -> FileQueue {
    let _no_process_starts = SPAWNING.read().await;
    FileQueue::open(dir).unwrap()
}

/// Reads the start screen to its end.
async fn ready(screen: &mut BufReader<ChildStdout>) -> bool {
    let mut lines = screen.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with(LAST_LINE) {
            return true;
        }
    }
    false
}

/// Body of the answer to a plain HTTP request; empty when there is no server.
async fn get(address: SocketAddr, path: &str) -> String {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    };
    timeout(PATIENCE, ask).await.expect("the server answers").unwrap_or_default()
}

/// Two ports that are free now and stay so: for clients and for operators.
fn free_ports() -> (SocketAddr, SocketAddr) {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let span = PORTS.end - PORTS.start;
    let first = uuid::Uuid::new_v4().as_u128() % u128::from(span);
    let first = u16::try_from(first).unwrap();
    let port = (0..span)
        .step_by(2)
        .map(|step| PORTS.start + (first + step) % (span - 1))
        .find(|port| free(*port) && free(port + 1))
        .expect("free ports");
    (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([127, 0, 0, 1], port + 1)))
}

#[tokio::test]
async fn a_killed_server_comes_back_at_the_same_place_and_a_stopped_one_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (url, token) = (server.url(), server.token("alice").await);
    assert!(token.split('.').count() == 3, "{token}");
    server.kill().await;
    server.restart().await;
    assert_eq!((server.url(), server.get("/healthz").await.trim()), (url, "ok"));
    assert!(server.rss_bytes() > 0);
    let (client, _events) = Client::connect(server.client_config("alice", "phone").await).unwrap();
    let outcome = client.send(Draft::text("alice".parse().unwrap(), "to myself")).await.unwrap().outcome().await;
    assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
    assert!(server.metric("tidings_rows_appended_total").await > 0.0);
    assert!(server.terminate().await.success());
}
