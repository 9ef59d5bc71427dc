//! HTTP beside the clients' WebSocket: the start page, health for load balancers, and, in dev mode only, tokens. Nothing
//! else is answered without a token.

use std::sync::{Arc, OnceLock};

use actix_web::{HttpResponse, http::header::ContentType, web};
use tidings_actors::port::clock::Clock;
use tidings_schema::id::Uid;
use tokio::sync::watch;

use crate::auth::JwtTokens;

/// How long a token is valid that dev mode hands out.
const DEV_TOKEN_MS: u64 = 24 * 3_600 * 1_000;

/// Whether the node should get clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not now, and why.
    Not(&'static str),
}

/// What the public routes answer with.
#[derive(Clone)]
pub struct Public {
    /// The start page; set once the addresses it names are bound.
    pub page: Arc<OnceLock<String>>,
    /// Whether the node should get clients; changes with the store and at the end.
    pub readiness: watch::Receiver<Readiness>,
    /// Signs tokens for whoever asks; present in dev mode only.
    pub dev_tokens: Option<Arc<JwtTokens>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Public {
    /// Adds the routes.
    pub fn routes(self, config: &mut web::ServiceConfig) {
        let dev = self.dev_tokens.is_some();
        config
            .app_data(web::Data::new(self))
            .route("/", web::get().to(start))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz));
        if dev {
            config.route("/dev/token/{uid}", web::get().to(dev_token));
        }
    }
}

async fn start(public: web::Data<Public>) -> HttpResponse {
    plain(HttpResponse::Ok(), public.page.get().cloned().unwrap_or_default())
}

/// The process answers.
async fn healthz() -> HttpResponse {
    plain(HttpResponse::Ok(), "ok\n".to_owned())
}

/// The node takes messages.
async fn readyz(public: web::Data<Public>) -> HttpResponse {
    match *public.readiness.borrow() {
        Readiness::Ready => plain(HttpResponse::Ok(), "ready\n".to_owned()),
        Readiness::Not(why) => plain(HttpResponse::ServiceUnavailable(), format!("not ready: {why}\n")),
    }
}

async fn dev_token(public: web::Data<Public>, uid: web::Path<String>) -> HttpResponse {
    let Some(tokens) = &public.dev_tokens else { return HttpResponse::NotFound().finish() };
    let uid: Uid = match uid.parse() {
        Ok(uid) => uid,
        Err(why) => return plain(HttpResponse::BadRequest(), format!("uid {why}\n")),
    };
    let now = public.clock.now();
    match tokens.mint(&uid, None, now, now.plus(DEV_TOKEN_MS)) {
        Ok(token) => plain(HttpResponse::Ok(), token + "\n"),
        Err(why) => plain(HttpResponse::BadRequest(), format!("{why}\n")),
    }
}

fn plain(mut response: actix_web::HttpResponseBuilder, text: String) -> HttpResponse {
    response.insert_header(ContentType::plaintext()).body(text)
}
