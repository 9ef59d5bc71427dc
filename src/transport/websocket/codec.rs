//! Frames of the WebSocket protocol as a server reads and writes them (RFC 6455). Pure: bytes in, items out.
//!
//! A frame is refused by its header: neither a length over the limit nor a broken rule makes anything be buffered. Text is
//! refused at its first wrong byte, also in the middle of a frame that is still coming.

use std::str;

use super::utf8::Utf8;
use crate::transport::out_queue::{FrameHeader, HEADER_BYTES_MAX};

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Longest payload of a control frame (5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// Bytes unmasked at a time to look at text that is not complete.
const LOOK_BYTES: usize = 256;

const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Why a client's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A rule of the protocol is broken (1002).
    #[error("websocket rule broken")]
    Protocol,
    /// Text is not UTF-8 (1007).
    #[error("text is not utf-8")]
    Utf8,
    /// The declared length is over the limit (1009).
    #[error("message too large")]
    TooLarge,
}

/// What one step over the input found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The frame is not complete; nothing was consumed.
    More,
    /// This many bytes are done with; they complete nothing yet.
    Skip(usize),
    /// This many bytes are done with, and this is what they complete.
    Item(usize, Item<'a>),
}

/// A message or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole message of text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// To be answered with the same bytes.
    Ping(&'a [u8]),
    /// Asks for nothing.
    Pong,
    /// The client closes, with this code if it named one.
    Close(Option<u16>),
}

/// Reads what one client sends.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: usize,
    /// Payload of a fragmented message so far.
    fragments: Vec<u8>,
    /// Opcode of that message, while one is open.
    open: Option<u8>,
    /// The text of that message as far as it was looked at.
    text: Utf8,
    /// Payload bytes of the frame that is still coming that `text` has seen.
    looked: usize,
}

struct Header {
    fin: bool,
    opcode: u8,
    payload_bytes: usize,
    mask: [u8; 4],
    bytes: usize,
}

impl Decoder {
    /// Reads messages of at most so many bytes.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, fragments: Vec::new(), open: None, text: Utf8::default(), looked: 0 }
    }

    /// The largest message from the next frame on.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
    }

    /// Reads at most one frame from the start of `input`, unmasking it in place once it is complete. Until then `input`
    /// begins with the same bytes the next time.
    ///
    /// # Errors
    /// [`CodecError`]; what follows cannot be understood then.
    pub fn step<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Step<'a>, CodecError> {
        if self.open.is_none() && !self.fragments.is_empty() {
            // The message they made was handed out by the step before.
            self.fragments = Vec::new();
        }
        let Some(header) = self.header(input)? else { return Ok(Step::More) };
        let end = header.bytes + header.payload_bytes;
        if input.len() < end {
            self.look_ahead(&header, &input[header.bytes..])?;
            return Ok(Step::More);
        }
        let payload = &mut input[header.bytes..end];
        unmask(payload, header.mask);
        self.frame(header.fin, header.opcode, payload, end)
    }

    /// Looks at what is new of the text of a frame that is not complete.
    fn look_ahead(&mut self, header: &Header, masked: &[u8]) -> Result<(), CodecError> {
        if header.opcode >= CLOSE || self.open.unwrap_or(header.opcode) != TEXT {
            return Ok(());
        }
        while let Some(new) = masked.get(self.looked..).filter(|new| !new.is_empty()) {
            let mut plain = [0; LOOK_BYTES];
            let plain = &mut plain[..new.len().min(LOOK_BYTES)];
            plain.copy_from_slice(&new[..plain.len()]);
            let mut mask = header.mask;
            mask.rotate_left(self.looked % 4);
            unmask(plain, mask);
            self.text.take(plain)?;
            self.looked += plain.len();
        }
        Ok(())
    }

    /// The header, once it is complete and found legal; judged as soon as its first two bytes are there.
    fn header(&self, input: &[u8]) -> Result<Option<Header>, CodecError> {
        let &[first, second, ..] = input else { return Ok(None) };
        let (fin, opcode) = (first & FIN != 0, first & 0x0f);
        self.check_opcode(first, second)?;
        let (length_bytes, payload_bytes) = match second & 0x7f {
            126 => (2, input.get(2..4).map(|at| at.iter().fold(0, |n, &b| n << 8 | u64::from(b)))),
            127 => (8, input.get(2..10).map(|at| at.iter().fold(0, |n, &b| n << 8 | u64::from(b)))),
            short => (0, Some(u64::from(short))),
        };
        let Some(payload_bytes) = payload_bytes else { return Ok(None) };
        let payload_bytes = self.check_length(opcode, payload_bytes)?;
        let mask_at = 2 + length_bytes;
        let Some(&[a, b, c, d]) = input.get(mask_at..mask_at + 4) else { return Ok(None) };
        Ok(Some(Header { fin, opcode, payload_bytes, mask: [a, b, c, d], bytes: mask_at + 4 }))
    }

    fn check_opcode(&self, first: u8, second: u8) -> Result<(), CodecError> {
        let fragment_follows = self.open.is_some();
        let legal = match first & 0x0f {
            CONTINUATION => fragment_follows,
            TEXT | BINARY => !fragment_follows,
            CLOSE | PING | PONG => first & FIN != 0 && u64::from(second & 0x7f) <= CONTROL_BYTES_MAX,
            _ => false,
        };
        if legal && first & RSV == 0 && second & MASKED != 0 { Ok(()) } else { Err(CodecError::Protocol) }
    }

    fn check_length(&self, opcode: u8, payload_bytes: u64) -> Result<usize, CodecError> {
        // The highest bit must be 0 (5.2).
        if payload_bytes >> 63 != 0 {
            return Err(CodecError::Protocol);
        }
        let payload_bytes = usize::try_from(payload_bytes).map_err(|_| CodecError::TooLarge)?;
        let before = if opcode < CLOSE { self.fragments.len() } else { 0 };
        let fits = before.saturating_add(payload_bytes) <= self.message_bytes_max;
        if fits || opcode >= CLOSE { Ok(payload_bytes) } else { Err(CodecError::TooLarge) }
    }

    fn frame<'a>(&'a mut self, fin: bool, opcode: u8, payload: &'a [u8], end: usize) -> Result<Step<'a>, CodecError> {
        match opcode {
            CLOSE => Ok(Step::Item(end, Item::Close(close_code(payload)?))),
            PING => Ok(Step::Item(end, Item::Ping(payload))),
            PONG => Ok(Step::Item(end, Item::Pong)),
            opcode => self.data(fin, opcode, payload, end),
        }
    }

    fn data<'a>(&'a mut self, fin: bool, opcode: u8, payload: &'a [u8], end: usize) -> Result<Step<'a>, CodecError> {
        let looked = std::mem::take(&mut self.looked);
        if fin {
            self.text = Utf8::default();
        }
        if fin && self.open.is_none() {
            return Ok(Step::Item(end, message(opcode, payload)?));
        }
        let message_opcode = *self.open.get_or_insert(opcode);
        self.fragments.extend_from_slice(payload);
        if fin {
            self.open = None;
            return Ok(Step::Item(end, message(message_opcode, &self.fragments)?));
        }
        if message_opcode == TEXT {
            self.text.take(&payload[looked..])?;
        }
        Ok(Step::Skip(end))
    }
}

fn message(opcode: u8, payload: &[u8]) -> Result<Item<'_>, CodecError> {
    if opcode == TEXT {
        return str::from_utf8(payload).map(Item::Text).map_err(|_| CodecError::Utf8);
    }
    Ok(Item::Binary(payload))
}

/// A close frame is empty, or a legal code and a reason in UTF-8 (5.5.1, 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, CodecError> {
    match payload {
        [] => Ok(None),
        &[high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(CodecError::Protocol);
            }
            str::from_utf8(reason).map_err(|_| CodecError::Utf8)?;
            Ok(Some(code))
        }
        [_] => Err(CodecError::Protocol),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mask_word = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        if let &mut [a, b, c, d] = word {
            word.copy_from_slice(&(u32::from_ne_bytes([a, b, c, d]) ^ mask_word).to_ne_bytes());
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The header of an unmasked frame that is a whole message.
pub(crate) fn header(opcode: u8, payload_bytes: usize) -> FrameHeader {
    let mut bytes = [0; HEADER_BYTES_MAX];
    bytes[0] = FIN | opcode;
    let len = match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short), _) if short < 126 => {
            bytes[1] = short;
            2
        }
        (_, Ok(medium)) => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    };
    FrameHeader { bytes, len }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
