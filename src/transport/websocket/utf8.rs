//! UTF-8 that comes in parts: a wrong byte is found as soon as it is there, wherever the parts were cut.

use std::str;

use super::codec::CodecError;

/// Longest letter in bytes.
const LETTER_BYTES_MAX: usize = 4;

/// What is known of a text so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// A letter that the last part began and did not end.
    begun: [u8; LETTER_BYTES_MAX],
    begun_bytes: u8,
}

impl Utf8 {
    /// Takes the next part.
    ///
    /// # Errors
    /// [`CodecError::Utf8`]: nothing that may follow makes it a text.
    pub(super) fn take(&mut self, mut part: &[u8]) -> Result<(), CodecError> {
        while self.begun_bytes > 0 {
            let Some((&byte, rest)) = part.split_first() else { return Ok(()) };
            part = rest;
            self.go_on(byte)?;
        }
        let rest = unfinished(part)?;
        self.begun[..rest.len()].copy_from_slice(rest);
        // At most three bytes can be unfinished.
        self.begun_bytes = rest.len() as u8;
        Ok(())
    }

    /// One more byte of the letter that was begun.
    fn go_on(&mut self, byte: u8) -> Result<(), CodecError> {
        let at = usize::from(self.begun_bytes);
        self.begun[at] = byte;
        self.begun_bytes += 1;
        if unfinished(&self.begun[..=at])?.is_empty() {
            self.begun_bytes = 0;
        }
        Ok(())
    }
}

/// The bytes at the end that begin a letter without ending it.
fn unfinished(part: &[u8]) -> Result<&[u8], CodecError> {
    match str::from_utf8(part) {
        Ok(_) => Ok(&[]),
        Err(why) if why.error_len().is_none() => Ok(&part[why.valid_up_to()..]),
        Err(_) => Err(CodecError::Utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that were taken before the first wrong one, when the text comes in parts of `cut` bytes.
    fn taken(text: &[u8], cut: usize) -> usize {
        let mut utf8 = Utf8::default();
        text.chunks(cut).take_while(|part| utf8.take(part).is_ok()).map(<[u8]>::len).sum()
    }

    #[test]
    fn a_text_may_be_cut_anywhere() {
        let text = "aé€😀\u{10ffff}z".as_bytes();
        for cut in 1..=text.len() {
            assert_eq!(taken(text, cut), text.len(), "{cut}");
        }
    }

    #[test]
    fn the_first_wrong_byte_is_the_one_that_is_refused() {
        for (text, right) in [
            (&b"ab\xff"[..], 2),
            (b"\xc0\x80", 0),
            (b"a\xed\xa0\x80", 2),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf0\x9f\x98a", 3),
            (b"\xe2\x82\xac\x80", 3),
        ] {
            assert_eq!(taken(text, 1), right, "{text:x?}");
            assert_eq!(taken(text, text.len()), 0, "{text:x?}");
        }
    }
}
