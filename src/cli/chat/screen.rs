//! A terminal whose last line is the prompt: lines are printed above it while a person types. Without a terminal it
//! prints plain lines and reads plain lines.

use std::{
    io::{BufRead, IsTerminal, Read, Write},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::{
    editor::{Editor, Key},
    width::{self, window},
};
use crate::cli::Colour;

/// Keys or lines that wait for the chat; more wait in the terminal.
const TYPED_MAX: usize = 256;
/// Bytes of a piped line; a longer one is several.
const LINE_BYTES_MAX: u64 = 60 * 1024;
/// Width of a terminal that does not say.
const COLUMNS: usize = 80;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Part of a line; the prompt is drawn anew.
    Key(u8),
    /// A whole line of a file or pipe.
    Line(String),
}

/// What a key came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The line is not finished.
    Typing,
    Line(String),
    Leave,
}

/// What a line is, which is all its colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Own,
    Incoming,
    Dim,
    Warn,
}

/// The screen; gives the terminal back when dropped.
pub(super) struct Screen {
    before: Option<Termios>,
    colours: bool,
    editor: Editor,
    prompt: String,
    /// Columns before the cursor in the row that is typed in, and those of the window when it was drawn.
    cursor: usize,
    drawn_in: usize,
}

impl Screen {
    /// Takes the terminal over and starts to read what is typed.
    pub(super) fn open(colour: Colour) -> anyhow::Result<(Self, mpsc::Receiver<Typed>)> {
        let terminals = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        let person = terminals && able;
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let before = if person { Some(take_over()?) } else { None };
        let (typed, receiver) = mpsc::channel(TYPED_MAX);
        let read = if person { read_keys } else { read_lines };
        thread::Builder::new().name("keyboard".into()).spawn(move || read(&typed))?;
        let colours = colours(colour, person, no_color);
        let (editor, prompt, cursor, drawn_in) = Default::default();
        let screen = Self { before, colours, editor, prompt, cursor, drawn_in };
        Ok((screen, receiver))
    }

    /// Whether a person types here, key by key.
    pub(super) fn is_terminal(&self) -> bool {
        self.before.is_some()
    }

    /// Columns of the window.
    pub(super) fn columns(&self) -> usize {
        if !self.is_terminal() {
            return usize::MAX;
        }
        let size = tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col));
        size.ok().filter(|columns| *columns > 0).unwrap_or(COLUMNS)
    }

    /// Prints a line above the prompt.
    pub(super) fn print(&mut self, style: Style, line: &str) {
        let line = painted(style, line.trim_end(), self.colours);
        if !self.is_terminal() {
            return self.write(&format!("{line}\n"));
        }
        self.write(&format!("{}{line}\r\n", self.rewound()));
        self.cursor = 0;
        self.draw();
    }

    /// Changes what stands before the line that is typed.
    pub(super) fn set_prompt(&mut self, prompt: String) {
        if prompt != self.prompt {
            self.prompt = prompt;
            self.draw();
        }
    }

    /// The window has other columns.
    pub(super) fn resized(&mut self, prompt: String) {
        self.prompt = prompt;
        self.draw();
    }

    /// A key of the keyboard, or a line of a pipe.
    pub(super) fn typed(&mut self, typed: Typed) -> Input {
        let key = match typed {
            Typed::Line(line) => return Input::Line(line),
            Typed::Key(byte) => self.editor.byte(byte),
        };
        let Some(key) = key else { return Input::Typing };
        if key == Key::Redraw {
            self.write("\x1b[2J\x1b[H");
            self.cursor = 0;
        }
        self.draw();
        match key {
            Key::Edited | Key::Redraw => Input::Typing,
            Key::Line(line) => Input::Line(line),
            Key::Quit => Input::Leave,
        }
    }

    /// Whether a message is being written, not a command.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.editor.line().0.first(), Some(first) if *first != '/')
    }

    fn draw(&mut self) {
        if !self.is_terminal() {
            return;
        }
        let (rewound, columns) = (self.rewound(), self.columns());
        let (line, at) = self.editor.line();
        // The last column stays free: some terminals begin a new row as soon as it is taken.
        let before = width::columns(&self.prompt);
        let seen = window(line, at, columns.saturating_sub(before + 1));
        let back = if seen.behind > 0 { format!("\x1b[{}D", seen.behind) } else { String::new() };
        let (bold, plain) = if self.colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        (self.cursor, self.drawn_in) = (before + width::columns(&seen.text) - seen.behind, columns);
        self.write(&format!("{rewound}{bold}{}{plain}{}{back}", self.prompt, seen.text));
    }

    /// To the beginning of what was drawn last, and nothing from there on. In a window that became narrower that row has
    /// become several, and the cursor is in the last of them.
    fn rewound(&self) -> String {
        let columns = self.columns();
        let up = if columns < self.drawn_in { self.cursor / columns } else { 0 };
        let up = if up > 0 { format!("\x1b[{up}A") } else { String::new() };
        format!("{up}\r\x1b[J")
    }

    /// A terminal that is gone ends the chat through its keyboard.
    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            self.write("\r\x1b[K");
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Whether to use colours: as asked, else for a person who did not say no to every program (no-color.org).
fn colours(asked: Colour, person: bool, no_color: bool) -> bool {
    match asked {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => person && !no_color,
    }
}

/// A line in its colour. Whatever came into it, a terminal obeys only what is added here.
fn painted(style: Style, line: &str, colours: bool) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let code = match style {
        Style::Own => None,
        Style::Incoming => Some(36),
        Style::Dim => Some(2),
        Style::Warn => Some(33),
    };
    match code.filter(|_| colours) {
        Some(code) => format!("\x1b[{code}m{line}\x1b[0m"),
        None => line,
    }
}

/// Keys arrive one by one and are not echoed; output stays as it is.
fn take_over() -> anyhow::Result<Termios> {
    let before = tcgetattr(std::io::stdin())?;
    let mut raw = before.clone();
    raw.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw)?;
    Ok(before)
}

fn read_keys(typed: &mpsc::Sender<Typed>) {
    for byte in std::io::stdin().lock().bytes() {
        let Ok(byte) = byte else { return };
        if typed.blocking_send(Typed::Key(byte)).is_err() {
            return;
        }
    }
}

fn read_lines(typed: &mpsc::Sender<Typed>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return;
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if typed.blocking_send(Typed::Line(line)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_people_who_did_not_say_no_and_for_who_asks() {
        assert!(colours(Colour::Auto, true, false));
        assert!(!colours(Colour::Auto, true, true) && !colours(Colour::Auto, false, false));
        assert!(colours(Colour::Always, false, true) && !colours(Colour::Never, true, false));
    }

    #[test]
    fn a_line_has_no_control_characters_but_those_of_its_colour() {
        assert_eq!(painted(Style::Incoming, "a\u{1b}[2Jb\u{9b}c", false), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(painted(Style::Warn, "a", true), "\u{1b}[33ma\u{1b}[0m");
        assert_eq!(painted(Style::Own, "a", true), "a");
    }
}
