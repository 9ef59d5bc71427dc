//! Reads the settings from everywhere they may stand and notes every mistake on the way, each with its place.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tidings_actors::mutants;
use toml::de::{DeTable, DeValue};

use super::{
    Config,
    machine::Machine,
    mistake::{ConfigError, Mistake, Origin, unknown, unknown_section, unknown_variable},
    relations::{Looked, RELATIONS},
    setting::{ENV_PREFIX, Setting},
    table::{SECTIONS, SETTINGS},
    value::Form,
};

/// Read when it stands in the working directory and no other file is named.
pub const DEFAULT_FILE: &str = "tidings.toml";
/// A config file that is larger is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Nothing says who may connect.
const NO_KEY: &str =
    "no key for tokens: set auth.key_file or TIDINGS_AUTH_SECRET (32 bytes or more), or use --dev on loopback";
/// Read by the logs, not a setting of the file.
const ENV_LOG: &str = "TIDINGS_LOG";
/// Chooses deliberate bugs in builds for tests; a release build refuses it like any other unknown name.
const ENV_MUTANT: &str = "TIDINGS_MUTANT";

/// A value that a flag gives.
#[derive(Clone, Debug)]
pub struct Given {
    /// The flag as it was typed.
    pub flag: String,
    /// `section.field`.
    pub setting: String,
    /// As in the environment.
    pub value: String,
}

/// Where settings may stand.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file that was named: it must be there.
    pub file: Option<PathBuf>,
    /// A file that is read when it is there and none was named.
    pub default_file: Option<PathBuf>,
    /// The environment, all of it.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags; a later one wins.
    pub flags: Vec<Given>,
    /// Everyone gets a token.
    pub dev: bool,
    /// What values are compared with.
    pub machine: Machine,
}

/// The settings that hold, where each comes from, and what is wrong with them.
pub struct Loaded {
    /// What holds; a setting with a mistake has its default.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// All that is wrong.
    pub mistakes: Vec<Mistake>,
    /// In the order of the table.
    origins: Vec<Origin>,
    /// Nothing hid what somebody set.
    whole: bool,
}

impl Loaded {
    /// Reads everything.
    #[must_use]
    pub fn read(sources: &Sources) -> Self {
        let mut reading = Reading::default();
        let whole = reading.file(sources);
        for (name, value) in &sources.environment {
            reading.variable(name, value);
        }
        for given in &sources.flags {
            reading.flag(given);
        }
        // After an error of syntax most values are not known: what they are to each other is not either.
        if whole {
            reading.relations(sources);
        }
        let Reading { config, file, mut mistakes, origins, .. } = reading;
        // In the order in which they are mended: the file from its beginning on, the environment, the flags.
        mistakes.sort_by(|one, other| one.origin.cmp(&other.origin));
        Self { config, file, mistakes, origins, whole }
    }

    /// Where a setting comes from, by its place in the table.
    #[must_use]
    pub fn origin(&self, at: usize) -> &Origin {
        self.origins.get(at).unwrap_or(&Origin::Default)
    }

    /// Makes it a mistake that nothing says who may connect, unless everyone may.
    #[must_use]
    pub fn require_key(mut self, dev: bool) -> Self {
        let auth = &self.config.auth;
        if self.whole && !dev && auth.key_file.is_none() && auth.secret.is_none() {
            self.mistakes.push(Mistake { origin: Origin::Default, what: NO_KEY.to_owned() });
        }
        self
    }

    /// The settings, if nothing is wrong with them.
    ///
    /// # Errors
    /// [`ConfigError`] with all mistakes.
    pub fn accept(self) -> Result<Config, ConfigError> {
        if self.mistakes.is_empty() { Ok(self.config) } else { Err(ConfigError(self.mistakes)) }
    }
}

struct Reading {
    config: Config,
    file: Option<PathBuf>,
    mistakes: Vec<Mistake>,
    origins: Vec<Origin>,
    /// Settings somebody set to what is not allowed; nothing is compared with them.
    wrong: Vec<bool>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            config: Config::default(),
            file: None,
            mistakes: Vec::new(),
            origins: vec![Origin::Default; SETTINGS.len()],
            wrong: vec![false; SETTINGS.len()],
        }
    }
}

/// The setting of this name, and its place in the table.
fn find(is: impl Fn(&Setting) -> bool) -> Option<usize> {
    SETTINGS.iter().position(is)
}

impl Reading {
    fn mistake(&mut self, origin: Origin, what: String) {
        self.mistakes.push(Mistake { origin, what });
    }

    /// Sets the setting at `at` to what stands at `origin`; `form` is known of a file only.
    fn set(&mut self, at: usize, origin: Origin, text: &str, form: Option<Form>) {
        let Some(setting) = SETTINGS.get(at) else { return };
        let fits = form.is_none_or(|form| form == setting.form);
        let taken = fits && (setting.read)(&mut self.config, text, &setting.allowed);
        self.wrong[at] = !taken;
        self.origins[at] = origin.clone();
        if !taken {
            self.mistake(origin, refusal(setting, text, form));
        }
    }

    /// Reads the file, if there is one; `false` when what it says is not known.
    fn file(&mut self, sources: &Sources) -> bool {
        let default = sources.default_file.clone().filter(|path| !matches!(path.try_exists(), Ok(false)));
        let Some(path) = sources.file.clone().or(default) else { return true };
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(why) => {
                self.mistake(Origin::Default, format!("config file {} cannot be read: {why}", path.display()));
                return false;
            }
        };
        self.file = Some(path.clone());
        let path = Arc::new(path);
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            self.mistake(Origin::File(path.clone(), line), format!("is no TOML: {}", error.message()));
        }
        if errors.is_empty() {
            self.sections(table.get_ref(), &|at| Origin::File(path.clone(), line_of(&text, at)));
        }
        errors.is_empty()
    }

    fn sections(&mut self, table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) {
        for (name, value) in table {
            let at = origin(name.span().start);
            let known = SECTIONS.iter().any(|(section, _)| *section == name.get_ref());
            match value.get_ref() {
                DeValue::Table(fields) if known => self.fields(name.get_ref(), fields, origin),
                DeValue::Table(_) => self.mistake(at, unknown_section(name.get_ref())),
                _ => self.mistake(at, format!("{}; a setting stands in a section", unknown(name.get_ref()))),
            }
        }
    }

    fn fields(&mut self, section: &str, fields: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) {
        for (field, value) in fields {
            let place = origin(field.span().start);
            let (text, form) = scalar(value.get_ref());
            match find(|setting| setting.section == section && setting.field == field.get_ref()) {
                Some(at) => self.set(at, place, &text, Some(form)),
                None => self.mistake(place, unknown(&format!("{section}.{}", field.get_ref()))),
            }
        }
    }

    fn variable(&mut self, name: &OsString, value: &OsString) {
        let name = name.to_string_lossy();
        let other = name == ENV_LOG || (mutants::COMPILED_IN && name == ENV_MUTANT);
        if other || !name.starts_with(ENV_PREFIX) {
            return;
        }
        let origin = Origin::Environment(name.clone().into_owned());
        match (find(|setting| setting.variable() == name), value.to_str()) {
            (Some(at), Some(text)) => self.set(at, origin, text, None),
            (Some(_), None) => self.mistake(origin, "the value is no UTF-8".to_owned()),
            (None, _) => self.mistake(origin, unknown_variable(&name)),
        }
    }

    fn flag(&mut self, given: &Given) {
        let origin = Origin::Flag(given.flag.clone());
        match find(|setting| setting.name() == given.setting) {
            Some(at) if SETTINGS.get(at).is_some_and(|setting| setting.form == Form::Secret) => {
                self.mistake(origin, "every user of this machine sees flags: set the environment variable".to_owned());
            }
            Some(at) => self.set(at, origin, &given.value, None),
            None => self.mistake(origin, unknown(&given.setting)),
        }
    }

    fn relations(&mut self, sources: &Sources) {
        let Sources { machine, dev, .. } = sources;
        for relation in RELATIONS {
            let places: Vec<usize> =
                relation.between.iter().filter_map(|name| find(|setting| setting.name() == *name)).collect();
            if places.iter().any(|at| self.wrong[*at]) {
                continue;
            }
            let looked = Looked { config: &self.config, machine, dev: *dev };
            if let Some(fault) = (relation.fault)(&looked) {
                let (origin, what) = self.blame(&places, &fault);
                self.mistake(origin, what);
            }
        }
    }

    /// Shows a fault at the first of the settings that somebody set, with the others beside it.
    fn blame(&self, places: &[usize], fault: &str) -> (Origin, String) {
        let set = places.iter().find(|at| self.origins[**at] != Origin::Default);
        let blamed = set.or(places.first()).copied().unwrap_or_default();
        let shown = |at: usize| {
            SETTINGS.get(at).map(|setting| format!("{} = {}", setting.name(), (setting.show)(&self.config)))
        };
        let others = places.iter().filter(|at| **at != blamed);
        let others: Vec<String> =
            others.filter_map(|at| Some(format!("{} ({})", shown(*at)?, self.origins[*at]))).collect();
        let beside = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        (self.origins[blamed].clone(), format!("{}: {fault}{beside}", shown(blamed).unwrap_or_default()))
    }
}

fn refusal(setting: &Setting, text: &str, form: Option<Form>) -> String {
    let name = setting.name();
    match (setting.form, form) {
        (Form::Secret, Some(_)) => {
            format!("{name}: a secret does not stand in a file that is copied; set {}", setting.variable())
        }
        (Form::Text, Some(Form::Text)) | (_, None) => format!("{name} = {text:?}: allowed is {}", setting.allowed()),
        (Form::Text, Some(_)) => format!("{name} = {text}: allowed is {}, in quotes", setting.allowed()),
        (_, Some(Form::Text)) => format!("{name} = {text:?}: allowed is {}, without quotes", setting.allowed()),
        (_, Some(_)) => format!("{name} = {text}: allowed is {}", setting.allowed()),
    }
}

/// A value of the file as text, and how it stood there.
fn scalar(value: &DeValue<'_>) -> (String, Form) {
    match value {
        DeValue::String(text) => (text.clone().into_owned(), Form::Text),
        DeValue::Boolean(on) => (on.to_string(), Form::Switch),
        DeValue::Integer(number) if number.radix() == 10 => (number.as_str().replace('+', ""), Form::Number),
        DeValue::Integer(number) => {
            let read = u64::from_str_radix(number.as_str(), number.radix());
            (read.map_or_else(|_| number.to_string(), |number| number.to_string()), Form::Number)
        }
        DeValue::Float(number) => (number.as_str().to_owned(), Form::Number),
        DeValue::Datetime(time) => (time.to_string(), Form::Number),
        DeValue::Array(_) => ("[...]".to_owned(), Form::Number),
        DeValue::Table(_) => ("{...}".to_owned(), Form::Number),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
