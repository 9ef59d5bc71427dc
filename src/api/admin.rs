//! The operators' listener: metrics, health, and signing users out. Always separate from the clients' one; keep it
//! private.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, guard, http::header, web};
use metrics_exporter_prometheus::PrometheusHandle;
use tidings_schema::id::{DeviceId, Uid};

use crate::doctor::State;

/// Content type of Prometheus' text format, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A request that changes something must carry it (with value 1): a page in an operator's browser cannot send it by
/// itself.
pub const OPERATOR_HEADER: &str = "x-tidings-operator";

/// Why something an operator asked for was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {text}")]
pub struct NotDone {
    /// Number of docs/errors.md.
    pub code: u32,
    /// In words.
    pub text: String,
}

/// What becomes of a request to sign a user out.
pub type Revoked = Pin<Box<dyn Future<Output = Result<(), NotDone>>>>;

/// Signs a user, or one device of theirs, out; done when it is durable.
pub type Revoke = Arc<dyn Fn(Uid, Option<DeviceId>) -> Revoked + Send + Sync>;

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
    revoke: Revoke,
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
            .app_data(web::Data::new(revoke.clone()))
            .route("/metrics", web::get().to(scrape))
            .route("/doctor", web::get().to(doctor))
            .route("/healthz", web::get().to(|| async { "ok\n" }))
            .service(by_operator("/revoke/{uid}").to(revoke_user))
            .service(by_operator("/revoke/{uid}/{device}").to(revoke_device))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(1).bind(listen)?;
    let addr = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), addr))
}

fn by_operator(path: &str) -> actix_web::Resource {
    web::resource(path).guard(guard::Post()).guard(guard::Header(OPERATOR_HEADER, "1"))
}

fn render(metrics: &PrometheusHandle) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, METRICS_TYPE)).body(metrics.render())
}

async fn revoke_user(revoke: web::Data<Revoke>, uid: web::Path<String>) -> HttpResponse {
    match uid.parse() {
        Ok(uid) => revoked(&revoke, uid, None).await,
        Err(why) => HttpResponse::BadRequest().body(format!("uid {why}\n")),
    }
}

async fn revoke_device(revoke: web::Data<Revoke>, path: web::Path<(String, String)>) -> HttpResponse {
    match (path.0.parse(), path.1.parse()) {
        (Ok(uid), Ok(device)) => revoked(&revoke, uid, Some(device)).await,
        (Err(why), _) => HttpResponse::BadRequest().body(format!("uid {why}\n")),
        (_, Err(why)) => HttpResponse::BadRequest().body(format!("device {why}\n")),
    }
}

async fn revoked(revoke: &Revoke, uid: Uid, device: Option<DeviceId>) -> HttpResponse {
    let who = device.as_ref().map_or_else(|| uid.to_string(), |device| format!("{device} of {uid}"));
    match revoke(uid, device).await {
        Ok(()) => HttpResponse::Ok().body(format!("{who} is signed out; tokens issued before now are refused\n")),
        Err(why) => HttpResponse::ServiceUnavailable().body(format!("{why}\n")),
    }
}
