//! A terminal whose last line is the prompt: lines are printed above it while a person types. Without a terminal it
//! prints plain lines and reads plain lines.

use std::{
    io::{BufRead, IsTerminal, Read, Write},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::editor::{Editor, Key};

/// Keys or lines that wait for the chat; more wait in the terminal.
const TYPED_MAX: usize = 256;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Part of a line; the prompt is drawn anew.
    Key(u8),
    /// A whole line of a file or pipe.
    Line(String),
}

/// The screen; gives the terminal back when dropped.
pub(super) struct Screen {
    before: Option<Termios>,
    editor: Editor,
    prompt: String,
}

impl Screen {
    /// Takes the terminal over and starts to read what is typed.
    pub(super) fn open() -> anyhow::Result<(Self, mpsc::Receiver<Typed>)> {
        let person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let before = if person { Some(take_over()?) } else { None };
        let (typed, receiver) = mpsc::channel(TYPED_MAX);
        let read = if person { read_keys } else { read_lines };
        thread::Builder::new().name("keyboard".into()).spawn(move || read(&typed))?;
        Ok((Self { before, editor: Editor::default(), prompt: "> ".into() }, receiver))
    }

    /// Whether a person sees it, with colours.
    pub(super) fn is_terminal(&self) -> bool {
        self.before.is_some()
    }

    /// Prints a line above the prompt. `style` is an ANSI style number, used only on a terminal.
    pub(super) fn print(&self, style: Option<&str>, line: &str) {
        let mut out = std::io::stdout().lock();
        let line = line.trim_end();
        let done = match (self.is_terminal(), style) {
            (false, _) => writeln!(out, "{line}"),
            (true, None) => write!(out, "\r\x1b[K{line}\r\n"),
            (true, Some(style)) => write!(out, "\r\x1b[K\x1b[{style}m{line}\x1b[0m\r\n"),
        };
        // A terminal that is gone ends the chat through its keyboard.
        let _ = done.and_then(|()| out.flush());
        drop(out);
        self.draw();
    }

    /// Changes what stands before the line that is typed.
    pub(super) fn set_prompt(&mut self, prompt: String) {
        if prompt != self.prompt {
            self.prompt = prompt;
            self.draw();
        }
    }

    /// A key of the keyboard; `Some(Ok(line))` for a line, `Some(Err(()))` when the person wants to leave.
    pub(super) fn typed(&mut self, typed: Typed) -> Option<Result<String, Leave>> {
        let key = match typed {
            Typed::Line(line) => return Some(Ok(line)),
            Typed::Key(byte) => self.editor.byte(byte)?,
        };
        let done = match key {
            Key::Edited => None,
            Key::Redraw => {
                let _ = std::io::stdout().write_all(b"\x1b[2J\x1b[H");
                None
            }
            Key::Line(line) => Some(Ok(line)),
            Key::Quit => Some(Err(Leave)),
        };
        self.draw();
        done
    }

    fn draw(&self) {
        if !self.is_terminal() {
            return;
        }
        let columns = tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col)).max(20);
        let (text, at) = self.editor.line();
        let room = columns.saturating_sub(self.prompt.chars().map(width).sum::<usize>() + 1).max(8);
        let mut start = at;
        let mut used = 0;
        while start > 0 && used + width(text[start - 1]) <= room {
            start -= 1;
            used += width(text[start]);
        }
        let mut shown = used;
        let tail: String = text[at..]
            .iter()
            .take_while(|c| {
                shown += width(**c);
                shown <= room
            })
            .collect();
        let head: String = text[start..at].iter().collect();
        let back: usize = tail.chars().map(width).sum();
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\r\x1b[K\x1b[1m{}\x1b[0m{head}{tail}", self.prompt);
        if back > 0 {
            let _ = write!(out, "\x1b[{back}D");
        }
        let _ = out.flush();
    }
}

/// The person wants to leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leave;

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = write!(std::io::stdout(), "\r\x1b[K");
            let _ = std::io::stdout().flush();
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
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
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if typed.blocking_send(Typed::Line(line)).is_err() {
            return;
        }
    }
}

/// Columns a character takes: two for East Asian wide ones and emoji.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
