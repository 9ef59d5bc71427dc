//! What strangers send before and below frames: handshakes, WebSocket frames, tokens; and what operators write: settings.

use actix_codec::Decoder as _;
use actix_http::{ServiceConfig, h1};
use bytes::BytesMut;
use tidings::{
    auth::JwtTokens,
    config::{Loaded, Sources},
    transport::websocket::{
        codec::{CodecError, Decoder, Item, Step},
        handshake,
    },
};
use tidings_actors::port::token::Tokens;
use tidings_schema::id::{Millis, Uid};

use crate::{
    chance::Chance,
    target::{Answer, Target, bounded, refused},
};

const REQUEST: &[u8] =
    b"GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: tidings.v1.json\r\n\r\n";

const REQUEST_WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b",",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"POST",
    b"CONNECT",
    b"HTTP/1.0",
    b"sec-websocket-key: \r\n",
    b"sec-websocket-protocol: \r\n",
    b"tidings.v1.proto",
    b"upgrade",
    b"%00",
    b"//",
    b"?a=b",
    b"\t",
];

const FRAME_WORDS: &[&[u8]] = &[
    b"\x81\x80\0\0\0\0",
    b"\x01\x81\0\0\0\0\xce",
    b"\x80\x81\0\0\0\0\xba",
    b"\x89\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x82\xfe\x00\x10",
    b"\x82\xff\0\0\0\0\0\0\0\x08",
    b"\x82\xff\x80\0\0\0\0\0\0\0",
    b"\x82\xff\0\0\0\x7f\0\0\0\0",
];

const TOML_WORDS: &[&[u8]] = &[
    b"[limits]\n",
    b"[[limits]]\n",
    b"[store]\n",
    b" = ",
    b"\"\"\"",
    b"true",
    b"-1",
    b"1e9",
    b"{}",
    b"[]",
    b"\n",
    b"inf",
    b"0x",
];

/// Largest message of the frames.
const MESSAGE_BYTES_MAX: usize = 600;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: Millis = Millis::new(1_764_000_000_000);

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "websocket", cases: 120_000, born: streams, words: FRAME_WORDS, check: stream },
        Target {
            name: "handshake",
            cases: 40_000,
            born: || vec![REQUEST.to_vec()],
            words: REQUEST_WORDS,
            check: request,
        },
        Target { name: "token", cases: 20_000, born: tokens, words: &[b".", b"e30", b"=="], check: token },
        Target { name: "config", cases: 10_000, born: settings, words: TOML_WORDS, check: setting },
    ]
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0x37, 0xfa, 0x21, 0x3d];
    frame.extend(payload.iter().zip([0x37, 0xfa, 0x21, 0x3d].iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn streams() -> Vec<Vec<u8>> {
    let text = "grüße 😀".as_bytes();
    vec![
        masked(0x81, text),
        masked(0x82, &[0xff; 100]),
        [masked(0x01, &text[..3]), masked(0x89, b"ping"), masked(0x00, &text[3..11]), masked(0x80, &text[11..])]
            .concat(),
        [masked(0x02, b""), masked(0x8a, b""), masked(0x80, b"x"), masked(0x88, b"\x03\xe8bye")].concat(),
        [&[0x82, 0xfe, 0x01, 0x00, 0, 0, 0, 0][..], &[7; 256]].concat(),
    ]
}

/// What a decoder made of a stream that comes in these pieces.
fn decoded(stream: &[u8], mut cut: impl FnMut(usize) -> usize) -> (Vec<String>, Option<CodecError>) {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let (mut kept, mut at, mut seen) = (Vec::new(), 0, Vec::new());
    while at < stream.len() {
        let end = at + cut(stream.len() - at);
        kept.extend_from_slice(&stream[at..end]);
        at = end;
        loop {
            let used = match decoder.step(&mut kept) {
                Ok(Step::More) => break,
                Ok(Step::Skip(used)) => used,
                Ok(Step::Item(used, item)) => {
                    seen.push(shown(&item));
                    used
                }
                Err(why) => return (seen, Some(why)),
            };
            assert!(used <= kept.len() && used >= 6, "a client's frame has at least 6 bytes");
            kept.drain(..used);
        }
    }
    (seen, None)
}

fn shown(item: &Item<'_>) -> String {
    match item {
        Item::Text(text) => {
            assert!(text.len() <= MESSAGE_BYTES_MAX);
            format!("text {text}")
        }
        Item::Binary(bytes) => {
            assert!(bytes.len() <= MESSAGE_BYTES_MAX);
            format!("binary {bytes:x?}")
        }
        Item::Ping(bytes) => {
            assert!(bytes.len() <= 125);
            format!("ping {bytes:x?}")
        }
        Item::Pong => "pong".into(),
        Item::Close(code) => format!("close {code:?}"),
    }
}

/// However a stream is cut, it says the same.
fn stream(input: &[u8]) -> Answer {
    let whole = bounded(16 * input.len(), || decoded(input, |rest| rest));
    let mut chance = Chance::new(input.len() as u64);
    let cut = decoded(input, |rest| usize::try_from(chance.between(1, 9)).unwrap_or(1).min(rest));
    let bytes = decoded(input, |_| 1);
    assert_eq!(whole, cut);
    assert_eq!(whole, bytes);
    match whole {
        (seen, None) if !seen.is_empty() => {
            let kinds: Vec<&str> = seen.iter().filter_map(|item| item.split(' ').next()).take(4).collect();
            Answer::Read(kinds.join(" "))
        }
        (_, None) => refused("not complete"),
        (_, Some(why)) => refused(why),
    }
}

/// An answer is one HTTP response and nothing behind it.
fn request(input: &[u8]) -> Answer {
    let mut bytes = BytesMut::from(input);
    thread_local! {
        static HTTP: ServiceConfig = ServiceConfig::default();
    }
    let mut codec = h1::Codec::new(HTTP.with(Clone::clone));
    let request = match bounded(8 * input.len() + 200, || codec.decode(&mut bytes)) {
        Ok(Some(h1::Message::Item(request))) => request,
        Ok(_) => return refused("not complete"),
        Err(why) => return refused(why),
    };
    let answer = bounded(input.len(), || handshake::agree(request.head()));
    let (response, read) = match answer {
        Ok(agreed) => (agreed.response, true),
        Err(refusal) => (refusal.response(), false),
    };
    assert!(response.starts_with("HTTP/1.1 ") && response.is_ascii());
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.lines().count() <= 6 && body.lines().count() <= 1, "{response}");
    let status = head.lines().next().unwrap_or_default().to_owned();
    if read { Answer::Read(status) } else { Answer::Refused(status) }
}

fn keys() -> JwtTokens {
    JwtTokens::from_secret(SECRET).unwrap()
}

fn tokens() -> Vec<Vec<u8>> {
    let alice: Uid = "alice".parse().unwrap();
    let device = "web-1".parse().unwrap();
    let token = |device| keys().mint(&alice, device, NOW, NOW.plus(60_000)).unwrap().into_bytes();
    vec![
        token(None),
        token(Some(&device)),
        b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.".to_vec(),
    ]
}

/// A token that was changed says what was signed, or nothing.
fn token(input: &[u8]) -> Answer {
    thread_local! {
        static KEYS: JwtTokens = keys();
    }
    let text = String::from_utf8_lossy(input);
    match KEYS.with(|keys| bounded(text.len() + 200, || keys.verify(&text, NOW))) {
        Ok(claims) => {
            assert_eq!((claims.uid.as_str(), claims.expires), ("alice", NOW.plus(60_000)));
            assert!(claims.device.is_none_or(|device| device.as_str() == "web-1"));
            Answer::Read("token".into())
        }
        Err(why) => refused(why),
    }
}

fn settings() -> Vec<Vec<u8>> {
    vec![b"[limits]\nbody_bytes_max = 1000\nframe_bytes_max = 100_000\n[listen]\naddress = \"127.0.0.1:1\"\nworkers = 2\n".to_vec()]
}

/// Settings that are taken fit each other; those that are not are refused with a text.
fn setting(input: &[u8]) -> Answer {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    match Loaded::read(&sources).accept() {
        Ok(config) => {
            assert!(config.limits.frame_bytes_max >= config.limits.body_bytes_max * 6 + 4096);
            Answer::Read("settings".into())
        }
        Err(why) => {
            let first = why.0.first().map(|mistake| mistake.what.clone()).unwrap_or_default();
            assert!(!first.is_empty());
            refused(first)
        }
    }
}
