//! The operators' listener: metrics and health. Always separate from the clients' one; keep it private.

use std::{io, net::SocketAddr};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, http::header, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::doctor::State;

/// Content type of Prometheus' text format, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Binds the admin listener. `measure` runs before each scrape and sets what is only known by asking; `state` is what
/// `tidings doctor` wants to know.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(
    listen: SocketAddr,
    metrics: PrometheusHandle,
    measure: impl Fn() + Clone + Send + 'static,
    state: impl Fn() -> State + Clone + Send + 'static,
) -> io::Result<(Server, SocketAddr)> {
    let server = HttpServer::new(move || {
        let (metrics, measure) = (metrics.clone(), measure.clone());
        let scrape = move || {
            measure();
            std::future::ready(render(&metrics))
        };
        let state = state.clone();
        let doctor = move || std::future::ready(HttpResponse::Ok().json(state()));
        App::new()
            .route("/metrics", web::get().to(scrape))
            .route("/doctor", web::get().to(doctor))
            .route("/healthz", web::get().to(|| async { "ok\n" }))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(listen)?;
    let addr = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), addr))
}

fn render(metrics: &PrometheusHandle) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, METRICS_TYPE)).body(metrics.render())
}
