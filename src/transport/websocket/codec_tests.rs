//! Cases after the Autobahn list: lengths, fragments, control frames, reserved bits, UTF-8, close codes, limits.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame: masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let server = header(first & 0x0f, payload.len());
    let mut bytes = server.bytes[..usize::from(server.len)].to_vec();
    bytes[0] = first;
    bytes[1] |= MASKED;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    bytes
}

/// What a decoder makes of `input`, as text, until an error or the end.
fn read(max: usize, input: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::new(max);
    let mut input = input.to_vec();
    let mut at = 0;
    let mut seen = Vec::new();
    loop {
        match decoder.step(&mut input[at..]) {
            Ok(Step::More) => return seen,
            Ok(Step::Skip(bytes)) => at += bytes,
            Ok(Step::Item(bytes, item)) => {
                at += bytes;
                seen.push(match item {
                    Item::Text(text) => format!("text {text}"),
                    Item::Binary(bytes) => format!("binary {}", bytes.len()),
                    Item::Ping(bytes) => format!("ping {}", bytes.len()),
                    Item::Pong => "pong".into(),
                    Item::Close(code) => format!("close {code:?}"),
                });
            }
            Err(why) => {
                seen.push(why.to_string());
                return seen;
            }
        }
    }
}

const BROKEN: &str = "websocket rule broken";
const LARGE: &str = "message too large";
const NO_UTF8: &str = "text is not utf-8";

#[test]
fn every_length_form_is_read() {
    for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000] {
        assert_eq!(read(100_000, &frame(0x82, &vec![7; len])), [format!("binary {len}")]);
    }
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    let bytes = frame(0x81, "grüße".as_bytes());
    let mut decoder = Decoder::new(100);
    for end in 0..bytes.len() {
        let mut part = bytes[..end].to_vec();
        let before = part.clone();
        assert_eq!(decoder.step(&mut part), Ok(Step::More));
        assert_eq!(part, before, "an incomplete frame is left masked");
    }
    let mut whole = bytes.clone();
    assert_eq!(decoder.step(&mut whole), Ok(Step::Item(bytes.len(), Item::Text("grüße"))));
}

#[test]
fn fragments_make_one_message_and_control_frames_may_stand_between() {
    let input = [
        frame(0x01, b"he"),
        frame(0x89, b"p"),
        frame(0x00, b"l"),
        frame(0x8a, b""),
        frame(0x80, b"lo"),
        frame(0x02, b""),
        frame(0x80, b"x"),
        frame(0x81, b"end"),
    ];
    assert_eq!(read(100, &input.concat()), ["ping 1", "pong", "text hello", "binary 1", "text end"]);
}

#[test]
fn a_letter_may_be_split_between_fragments() {
    let letter = "ü".as_bytes();
    assert_eq!(read(100, &[frame(0x01, &letter[..1]), frame(0x80, &letter[1..])].concat()), ["text ü"]);
}

#[test]
fn broken_rules_are_refused() {
    let mut unmasked = frame(0x82, b"");
    unmasked[1] &= 0x7f;
    let mut negative = frame(0x82, &[0; 70_000]);
    negative[2] = 0x80;
    for (why, input) in [
        ("reserved bit 1", frame(0xc2, b"x")),
        ("reserved bit 2", frame(0xa2, b"x")),
        ("reserved bit 3", frame(0x92, b"x")),
        ("reserved data opcode", frame(0x83, b"x")),
        ("reserved control opcode", frame(0x8b, b"x")),
        ("unmasked", unmasked),
        ("length with its highest bit", negative),
        ("fragmented ping", frame(0x09, b"x")),
        ("long ping", frame(0x89, &[0; 126])),
        ("long close", frame(0x88, &[0; 126])),
        ("continuation of nothing", frame(0x80, b"x")),
        ("close of one byte", frame(0x88, b"x")),
        ("close code 999", frame(0x88, &999_u16.to_be_bytes())),
        ("close code 1004", frame(0x88, &1004_u16.to_be_bytes())),
        ("close code 1005", frame(0x88, &1005_u16.to_be_bytes())),
        ("close code 1006", frame(0x88, &1006_u16.to_be_bytes())),
        ("close code 1016", frame(0x88, &1016_u16.to_be_bytes())),
        ("close code 5000", frame(0x88, &5000_u16.to_be_bytes())),
    ] {
        assert_eq!(read(100_000, &input), [BROKEN], "{why}");
    }
    assert_eq!(read(100, &[frame(0x01, b"a"), frame(0x81, b"b")].concat()), [BROKEN], "a message inside another");
}

#[test]
fn text_and_close_reasons_must_be_utf8() {
    for bad in [&[0xff][..], &[0xc0, 0x80], &[0xed, 0xa0, 0x80], &[0xf4, 0x90, 0x80, 0x80], &[0xce]] {
        assert_eq!(read(100, &frame(0x81, bad)), [NO_UTF8], "{bad:?}");
        assert_eq!(read(100, &frame(0x88, &[&1000_u16.to_be_bytes(), bad].concat())), [NO_UTF8], "{bad:?}");
        assert_eq!(read(100, &[frame(0x01, b"ok"), frame(0x80, bad)].concat()), [NO_UTF8], "{bad:?}");
    }
}

#[test]
fn legal_close_codes_are_read() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16] {
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        assert_eq!(read(100, &frame(0x88, &payload)), [format!("close Some({code})")]);
    }
    assert_eq!(read(100, &frame(0x88, b"")), ["close None"]);
}

#[test]
fn a_length_over_the_limit_is_refused_before_its_payload_comes() {
    let declared = frame(0x82, &[0; 65_536]);
    assert_eq!(read(65_535, &declared[..10]), [LARGE]);
    assert_eq!(read(65_536, &declared[..10]), [] as [&str; 0]);
    let mut four_hundred_mb = declared[..10].to_vec();
    four_hundred_mb[2..10].copy_from_slice(&(400_u64 << 20).to_be_bytes());
    assert_eq!(read(1 << 20, &four_hundred_mb), [LARGE]);
    assert_eq!(read(5, &[frame(0x01, b"abc"), frame(0x80, b"def")].concat()), [LARGE], "fragments count together");
    assert_eq!(read(5, &frame(0x89, b"abcdefgh")), ["ping 8"], "control frames have their own limit");
}
