//! The line a person types: bytes of the keyboard in, a line out. Knows nothing of terminals.

use super::width::width;

/// Lines the arrow keys bring back; older ones are forgotten.
const REMEMBERED_MAX: usize = 200;
/// Bytes one line may have; more keys do nothing.
const LINE_BYTES_MAX: usize = 32 * 1024;

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The line changed, or the place in it.
    Edited,
    /// A whole line.
    Line(String),
    /// The person wants to leave.
    Quit,
    /// Draw everything anew.
    Redraw,
}

/// One line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: Vec<char>,
    at: usize,
    /// Bytes of an unfinished character or escape sequence.
    partial: Vec<u8>,
    remembered: Vec<String>,
    back: usize,
}

impl Editor {
    /// The line and the place of the cursor in it, in characters.
    pub(super) fn line(&self) -> (&[char], usize) {
        (&self.text, self.at)
    }

    /// One byte of the keyboard; `None` while a key is not complete.
    pub(super) fn byte(&mut self, byte: u8) -> Option<Key> {
        self.partial.push(byte);
        if self.partial[0] == 0x1b {
            return self.escape();
        }
        match std::str::from_utf8(&self.partial).map(|text| text.chars().next()) {
            Ok(Some(c)) => {
                self.partial.clear();
                Some(self.key(c))
            }
            Ok(None) => None,
            Err(error) => {
                if error.error_len().is_some() || self.partial.len() > 4 {
                    self.partial.clear();
                }
                None
            }
        }
    }

    fn key(&mut self, c: char) -> Key {
        match c {
            '\r' | '\n' => return self.enter(),
            '\u{3}' => return Key::Quit,
            '\u{4}' if self.text.is_empty() => return Key::Quit,
            '\u{c}' => return Key::Redraw,
            '\u{4}' => self.delete(),
            '\u{1}' => self.at = 0,
            '\u{5}' => self.at = self.text.len(),
            '\u{2}' => self.left(),
            '\u{6}' => self.right(),
            '\u{b}' => self.text.truncate(self.at),
            '\u{15}' => drop(self.text.drain(..std::mem::take(&mut self.at))),
            '\u{17}' => self.delete_word(),
            '\u{8}' | '\u{7f}' => self.delete_before(),
            '\t' => self.insert(' '),
            c if !c.is_control() => self.insert(c),
            _ => {}
        }
        Key::Edited
    }

    fn insert(&mut self, c: char) {
        if self.text.len() < LINE_BYTES_MAX / 4 {
            self.text.insert(self.at, c);
            self.at += 1;
        }
    }

    /// To the character before, over the marks that join it.
    fn left(&mut self) {
        let before = &self.text[..self.at];
        self.at = before.iter().rposition(|c| width(*c) > 0).unwrap_or(0);
    }

    fn right(&mut self) {
        let behind = &self.text[(self.at + 1).min(self.text.len())..];
        self.at = self.text.len() - behind.len() + behind.iter().take_while(|c| width(**c) == 0).count();
    }

    fn delete(&mut self) {
        let start = self.at;
        self.right();
        self.text.drain(start..self.at);
        self.at = start;
    }

    fn delete_before(&mut self) {
        let end = self.at;
        self.left();
        self.text.drain(self.at..end);
    }

    fn delete_word(&mut self) {
        let before = &self.text[..self.at];
        let blank = before.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
        let start = before[..blank].iter().rposition(|c| *c == ' ').map_or(0, |space| space + 1);
        self.text.drain(start..self.at);
        self.at = start;
    }

    fn enter(&mut self) -> Key {
        let line: String = std::mem::take(&mut self.text).into_iter().collect();
        self.at = 0;
        if !line.trim().is_empty() && self.remembered.last() != Some(&line) {
            if self.remembered.len() == REMEMBERED_MAX {
                self.remembered.remove(0);
            }
            self.remembered.push(line.clone());
        }
        self.back = self.remembered.len();
        Key::Line(line)
    }

    fn escape(&mut self) -> Option<Key> {
        let last = *self.partial.last()?;
        let complete = match self.partial.len() {
            1 => false,
            2 => !matches!(last, b'[' | b'O'),
            // A sequence ends with a letter or `~`; nothing sane is longer than 16.
            len => last.is_ascii_alphabetic() || last == b'~' || len > 16,
        };
        if !complete {
            return None;
        }
        match std::mem::take(&mut self.partial).as_slice() {
            [_, _, b'A'] => self.recall(self.back.saturating_sub(1)),
            [_, _, b'B'] => self.recall(self.back + 1),
            [_, _, b'C'] => self.right(),
            [_, _, b'D'] => self.left(),
            [_, _, b'H'] | [_, _, b'1', b'~'] => self.at = 0,
            [_, _, b'F'] | [_, _, b'4', b'~'] => self.at = self.text.len(),
            [_, _, b'3', b'~'] => self.delete(),
            _ => {}
        }
        Some(Key::Edited)
    }

    fn recall(&mut self, to: usize) {
        self.back = to.min(self.remembered.len());
        self.text = self.remembered.get(self.back).map(|line| line.chars().collect()).unwrap_or_default();
        self.at = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, keys: &str) -> Vec<Key> {
        keys.bytes().filter_map(|byte| editor.byte(byte)).filter(|key| *key != Key::Edited).collect()
    }

    #[test]
    fn a_line_is_edited_with_arrows_words_and_characters_of_any_width() {
        let mut editor = Editor::default();
        let keys = typed(&mut editor, "hallo wörld\u{17}wörld\u{1}\u{1b}[Ce\u{1b}[3~\r");
        assert_eq!(keys, [Key::Line("hello wörld".into())]);
        assert_eq!(typed(&mut editor, "x\u{15}\u{1b}[A\u{7f}D\r"), [Key::Line("hello wörlD".into())]);
    }

    #[test]
    fn a_character_and_the_marks_that_join_it_are_one_key() {
        let mut editor = Editor::default();
        assert_eq!(typed(&mut editor, "xe\u{301}y\u{2}\u{7f}\r"), [Key::Line("xy".into())]);
        assert_eq!(typed(&mut editor, "日e\u{301}\u{1}\u{6}\u{4}本\r"), [Key::Line("日本".into())]);
        assert_eq!(typed(&mut editor, "\u{7f}\u{4}a\u{6}\u{6}b\r"), [Key::Quit, Key::Line("ab".into())]);
    }

    #[test]
    fn control_c_leaves_and_control_d_only_on_an_empty_line() {
        let mut editor = Editor::default();
        assert_eq!(typed(&mut editor, "a\u{4}"), []);
        assert_eq!(typed(&mut editor, "\u{15}\u{4}"), [Key::Quit]);
        assert_eq!(typed(&mut editor, "a\u{3}"), [Key::Quit]);
    }
}
