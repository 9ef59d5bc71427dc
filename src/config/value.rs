//! What a setting may be: how a value of each type is read, shown, and described to whoever wrote something else.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// A type that a setting may have.
pub(super) trait Value: Sized {
    /// How it stands in a TOML file.
    const FORM: Form;
    /// What is allowed, in words.
    const WHAT: &'static str;

    /// Reads it; `None` if the text is no such value.
    fn read(text: &str) -> Option<Self>;

    /// As it stands in a TOML file.
    fn show(&self) -> String;

    /// The number, if it is one.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// How a value stands in a TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A bare whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Text in quotes.
    Text,
    /// Nothing: it never stands in a file, and is never shown.
    Secret,
}

/// Which numbers are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    min: u64,
    max: u64,
    unit: &'static str,
    zero: Option<&'static str>,
}

/// Everything that the type takes.
pub(super) const ANY: Allowed = Allowed { min: 0, max: u64::MAX, unit: "", zero: None };

/// Numbers from `min` to `max`, in a unit.
pub(super) const fn between(min: u64, max: u64, unit: &'static str) -> Allowed {
    Allowed { min, max, unit, zero: None }
}

impl Allowed {
    /// And 0, which means something else.
    pub(super) const fn or_zero(self, meaning: &'static str) -> Self {
        Self { zero: Some(meaning), ..self }
    }

    pub(super) fn has(&self, number: u64) -> bool {
        (self.min..=self.max).contains(&number) || (number == 0 && self.zero.is_some())
    }

    /// The unit; empty where there is none.
    pub(super) fn unit(&self) -> &'static str {
        self.unit
    }

    /// What 0 means, where it means something else.
    pub(super) fn zero(&self) -> Option<&'static str> {
        self.zero
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} {}", grouped(self.min, ','), grouped(self.max, ','), self.unit)?;
        self.zero.map_or(Ok(()), |meaning| write!(f, ", or 0 = {meaning}"))
    }
}

/// A number with a sign between thousands.
pub(super) fn grouped(number: u64, sign: char) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(sign);
        }
        grouped.push(digit);
    }
    grouped
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Value for $type {
            const FORM: Form = Form::Number;
            const WHAT: &'static str = "a whole number";

            /// As in TOML, `_` may stand between digits.
            fn read(text: &str) -> Option<Self> {
                let apart = text.starts_with('_') || text.ends_with('_') || text.contains("__");
                if apart { None } else { text.replace('_', "").parse().ok() }
            }

            fn show(&self) -> String {
                grouped(self.number().unwrap_or_default(), '_')
            }

            fn number(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )* };
}

numbers!(u16 u32 u64 usize);

impl Value for bool {
    const FORM: Form = Form::Switch;
    const WHAT: &'static str = "true or false";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const FORM: Form = Form::Text;
    const WHAT: &'static str = "an IP address and a port, as in 127.0.0.1:7400 or [::1]:7400";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for PathBuf {
    const FORM: Form = Form::Text;
    const WHAT: &'static str = "a path";

    fn read(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// What need not be set; empty text says so.
impl<T: Value> Value for Option<T> {
    const FORM: Form = T::FORM;
    const WHAT: &'static str = T::WHAT;

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// For whoever signs with it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a secret)")
    }
}

impl Value for Secret {
    const FORM: Form = Form::Secret;
    const WHAT: &'static str = "a text";

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        "(set, never shown)".to_owned()
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for number in [0, 7, 999, 1_000, 65_536, 1_234_567, u64::MAX] {
            assert_eq!(u64::read(&number.show()), Some(number));
        }
        assert_eq!((1_234_567_u64.show(), 999_u64.show()), ("1_234_567".into(), "999".into()));
        assert_eq!(grouped(100_000, ','), "100,000");
    }

    #[test]
    fn what_is_no_such_value_is_not_read() {
        for text in ["", "-1", "1.5", "1e3", "0x10", "many", "_1", "1_", "1__0", " 1", "65536"] {
            assert_eq!(u16::read(text), None, "{text}");
        }
        assert_eq!(bool::read("yes"), None);
        assert_eq!(SocketAddr::read("localhost:7400"), None);
        assert_eq!((PathBuf::read(""), PathBuf::read("a\0b")), (None, None));
        assert_eq!(<Option<SocketAddr>>::read(""), Some(None));
        assert_eq!(<Option<SocketAddr>>::read("x"), None);
    }

    #[test]
    fn zero_is_allowed_where_it_means_something() {
        let allowed = between(2, 5, "days");
        assert_eq!([0, 1, 2, 5, 6].map(|n| allowed.has(n)), [false, false, true, true, false]);
        assert!(allowed.or_zero("never").has(0));
        assert_eq!(allowed.or_zero("never").to_string(), "2 to 5 days, or 0 = never");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::read("hunter2").unwrap();
        assert!(!format!("{secret:?}{}", secret.show()).contains("hunter2"));
    }
}
