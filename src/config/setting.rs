//! One setting: its name, what is allowed, what it means and why. The macro turns the table of all settings into the
//! typed `Config` and the list that everything else is derived from: parsing, checks, the printed config, the page of
//! the documentation.

use super::{
    Config,
    value::{Allowed, Form, Value, grouped},
};

/// Environment variables that begin so are settings; any other name of that kind is a mistake and refused.
pub(super) const ENV_PREFIX: &str = "TIDINGS_";

/// A row of the table.
pub struct Setting {
    /// Its section in the file.
    pub section: &'static str,
    /// Its name in the section.
    pub field: &'static str,
    /// What it is, in one line.
    pub meaning: &'static str,
    /// Why this default, and why these bounds.
    pub reason: &'static str,
    pub(super) form: Form,
    pub(super) what: &'static str,
    pub(super) allowed: Allowed,
    pub(super) read: fn(&mut Config, &str, &Allowed) -> bool,
    pub(super) show: fn(&Config) -> String,
}

impl Setting {
    /// `section.field`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.field)
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}_{}", self.section, self.field).to_ascii_uppercase()
    }

    /// Which values it takes, with their unit.
    #[must_use]
    pub fn allowed(&self) -> String {
        if self.form == Form::Number { self.allowed.to_string() } else { self.what.to_owned() }
    }

    /// What it is and why, in sentences.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!("{}. {}.", capital(self.meaning), capital(self.reason))
    }

    /// Its default for people: with its unit, and with what 0 means.
    #[must_use]
    pub fn default_in_words(&self) -> String {
        let shown = (self.show)(&Config::default());
        match (self.form, shown.replace('_', "").parse::<u64>()) {
            (Form::Number, Ok(0)) if self.allowed.zero().is_some() => {
                format!("0 = {}", self.allowed.zero().unwrap_or_default())
            }
            (Form::Number, Ok(number)) => format!("{} {}", grouped(number, ','), self.allowed.unit()),
            _ if shown == "\"\"" => "none".to_owned(),
            _ => format!("`{}`", shown.trim_matches('"')),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Puts a value where it belongs; `false` if it is not allowed there.
pub(super) fn put<T: Value>(place: &mut T, text: &str, allowed: &Allowed) -> bool {
    let value = T::read(text).filter(|value| value.number().is_none_or(|number| allowed.has(number)));
    value.map(|value| *place = value).is_some()
}

/// `section: Type "about" { field: type = default, allowed; "meaning" "reason" }`.
macro_rules! settings {
    ($($section:ident: $Section:ident $about:literal {
        $($field:ident: $type:ty = $default:expr, $allowed:expr; $meaning:literal $reason:literal)*
    })*) => {
        /// Everything that can be set.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $(#[doc = $about] pub $section: $Section,)*
        }

        $(
            #[doc = $about]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {
                $(#[doc = $meaning] #[doc = ""] #[doc = $reason] pub $field: $type,)*
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($field: $default,)* }
                }
            }
        )*

        /// Sections and what they are about, in the order of the documentation.
        pub const SECTIONS: &[(&str, &str)] = &[$((stringify!($section), $about),)*];

        /// Every setting.
        pub const SETTINGS: &[Setting] = &[$($(Setting {
            section: stringify!($section),
            field: stringify!($field),
            meaning: $meaning,
            reason: $reason,
            form: <$type as Value>::FORM,
            what: <$type as Value>::WHAT,
            allowed: $allowed,
            read: |config, text, allowed| put(&mut config.$section.$field, text, allowed),
            show: |config| config.$section.$field.show(),
        },)*)*];
    };
}
pub(super) use settings;
