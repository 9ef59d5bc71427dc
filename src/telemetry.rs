//! Logs and metrics. Logs carry ids, never payloads or tokens; metrics are read from the admin listener.

use std::{io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How often histograms are folded, so that they do not grow between two scrapes.
const UPKEEP: Duration = Duration::from_secs(5);
/// What is logged unless told otherwise: the HTTP library says nothing that our start page does not.
const DEFAULT_FILTER: &str = "info,actix_server=warn";
/// Upper bounds of time histograms, in seconds: a sync of a good disk to a store that hangs.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Upper bounds of size histograms.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 2048.0, 8192.0];

/// Writes logs to standard error: for people on a terminal, as JSON lines elsewhere. `TIDINGS_LOG` sets the level, in
/// the form of `tracing`'s filters.
pub fn start_logs() {
    let filter = EnvFilter::try_from_env("TIDINGS_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests in one process) changes nothing.
    let _started = if std::io::stderr().is_terminal() {
        logs.with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
}

/// Starts to count. The handle renders what was counted.
///
/// # Errors
/// When metrics were started before.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets(&SIZES)?;
    builder.install_recorder()
}

/// Folds histograms for ever.
pub async fn keep_up(metrics: PrometheusHandle) {
    let mut turns = tokio::time::interval(UPKEEP);
    loop {
        turns.tick().await;
        metrics.run_upkeep();
    }
}

/// Names the current thread for `top -H` and profilers; what a runtime calls its threads is cut off before their number.
pub fn name_thread(name: &str) {
    #[cfg(target_os = "linux")]
    if let Ok(name) = std::ffi::CString::new(name) {
        // Only a name: going on without it is no harm.
        let _unnamed = rustix::thread::set_name(&name).is_err();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}
