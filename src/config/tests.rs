//! Settings from every source, everything that is refused with its place, and the texts derived from the table.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use tidings_actors::{connection::ConnectionLimits, hub::census::CensusLimits, limits::MailboxLimits};

use super::*;

const GIB: u64 = 1 << 30;

/// Sources with a file of this text.
struct Scene {
    sources: Sources,
    _dir: tempfile::TempDir,
}

fn given(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let flags = flags.iter().map(|(setting, value)| super::Given {
        flag: format!("--set {setting}"),
        setting: (*setting).to_owned(),
        value: (*value).to_owned(),
    });
    let machine = Machine { memory_bytes: Some(4 * GIB), open_files_max: None };
    let sources = Sources { file: Some(path), environment, flags: flags.collect(), machine, ..Sources::default() };
    Scene { sources, _dir: dir }
}

fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Loaded {
    Loaded::read(&given(file, environment, flags).sources)
}

fn accepted(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Config {
    load(file, environment, flags).accept().unwrap()
}

/// The mistakes, with only the name of the file before the line.
fn mistakes(loaded: Loaded) -> Vec<String> {
    let short = |mistake: &Mistake| {
        let said = mistake.to_string();
        said.split_once("/t.toml").map_or(said.clone(), |(_, rest)| format!("t.toml{rest}"))
    };
    loaded.mistakes.iter().map(short).collect()
}

fn refused(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    mistakes(load(file, environment, &[]))
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let (file, variable, flag) = (
        "[limits]\nrecall_s = 1\n",
        [("TIDINGS_LIMITS_RECALL_S", "2"), ("HOME", "x"), ("TIDINGS_LOG", "debug")],
        [("limits.recall_s", "3")],
    );
    assert_eq!(accepted("", &[], &[]), Config::default());
    assert_eq!(accepted(file, &[], &[]).limits.recall_s, 1);
    assert_eq!(accepted(file, &variable, &[]).limits.recall_s, 2);
    assert_eq!(accepted(file, &variable, &flag).limits.recall_s, 3);
    let at = SETTINGS.iter().position(|setting| setting.name() == "limits.recall_s").unwrap();
    let origin = |loaded: Loaded| loaded.origin(at).to_string();
    assert_eq!(origin(load("", &[], &[])), "default");
    assert!(origin(load(file, &[], &[])).ends_with("/t.toml:2"));
    assert_eq!(origin(load(file, &variable, &[])), "TIDINGS_LIMITS_RECALL_S");
    assert_eq!(origin(load(file, &variable, &flag)), "--set limits.recall_s");
}

#[test]
fn every_setting_is_set_by_its_line_its_variable_and_its_flag() {
    for (at, setting) in SETTINGS.iter().enumerate() {
        let shown = (setting.show)(&Config::default());
        let bare = shown.trim_matches('"').to_owned();
        if setting.form != value::Form::Secret {
            let loaded = load(&format!("[{}]\n{} = {shown}\n", setting.section, setting.field), &[], &[]);
            assert!(loaded.origin(at).to_string().ends_with(":2") && loaded.mistakes.is_empty(), "{}", setting.name());
            let loaded = load("", &[], &[(&setting.name(), &bare)]);
            assert!(matches!(loaded.origin(at), Origin::Flag(_)) && loaded.mistakes.is_empty(), "{}", setting.name());
        }
        let loaded = load("", &[(&setting.variable(), &bare)], &[]);
        assert_eq!(loaded.origin(at), &Origin::Environment(setting.variable()));
        assert_eq!((loaded.mistakes.as_slice(), &loaded.config), (&[][..], &Config::default()));
    }
}

#[test]
fn every_mistake_is_shown_at_once_with_its_place_and_what_is_allowed() {
    let file = "[listen]\nadress = \"127.0.0.1:1\"\nworkers = 5000\n\n[limit]\nx = 1\n[node]\nshards = \"many\"\n";
    let environment = [("TIDINGS_STORE_CACHE_MB", "0"), ("TIDINGS_STORE_CASH_MB", "1")];
    let said = mistakes(load(file, &environment, &[("node.shard", "1"), ("limits.recall_s", "-1")]));
    assert_eq!(
        said,
        [
            "t.toml:2: listen.adress is no setting; did you mean listen.address?",
            "t.toml:3: listen.workers = 5000: allowed is 1 to 1,024 threads, or 0 = one per core",
            "t.toml:5: [limit] is no section; there are listen, store, auth, limits, node",
            "t.toml:8: node.shards = \"many\": allowed is 1 to 16,384 shards, without quotes",
            "TIDINGS_STORE_CACHE_MB: store.cache_mb = \"0\": allowed is 1 to 1,048,576 MiB",
            "TIDINGS_STORE_CASH_MB: this variable is no setting; did you mean TIDINGS_STORE_CACHE_MB?",
            "--set limits.recall_s: limits.recall_s = \"-1\": allowed is 1 to 3,153,600,000 s, or 0 = as long as `store.inbox_days`",
            "--set node.shard: node.shard is no setting; did you mean node.shards?",
        ]
    );
    let error = load(file, &environment, &[]).accept().unwrap_err().to_string();
    assert!(error.starts_with("6 mistakes in the settings\n  ") && error.lines().count() == 7, "{error}");
}

#[test]
fn a_value_of_another_type_is_refused_where_it_stands() {
    for wrong in ["\"x\"", "1.5", "-1", "true", "[1]", "{ a = 1 }", "2026-01-01", "99999999999999999999", "1e3", "nan"]
    {
        let said = refused(&format!("\n[limits]\nuser_sends_per_s = {wrong}"), &[]);
        assert!(said.len() == 1 && said[0].starts_with("t.toml:3: limits.user_sends_per_s = "), "{wrong}: {said:?}");
    }
    for wrong in ["1", "true", "[]", "\"localhost:7400\"", "\"127.0.0.1\"", "\"\""] {
        let said = refused(&format!("[listen]\naddress = {wrong}"), &[]);
        assert!(said.len() == 1 && said[0].contains("allowed is an IP address and a port"), "{wrong}: {said:?}");
    }
    assert_eq!(accepted("[limits]\nuser_sends_per_s = 0x1f4\nrecall_s = +1_000\n", &[], &[]).limits.recall_s, 1_000);
}

#[test]
fn what_is_no_toml_is_shown_with_its_line_and_hides_no_mistake_elsewhere() {
    let said = refused("[limits]\nrecall_s = = 1\n\n[node\n", &[("TIDINGS_NODE_SHARDS", "0")]);
    assert!(said.iter().any(|said| said.starts_with("t.toml:2: is no TOML: ")), "{said:?}");
    assert!(said.iter().any(|said| said.starts_with("t.toml:4: is no TOML: ")), "{said:?}");
    assert!(said.iter().any(|said| said.starts_with("TIDINGS_NODE_SHARDS: ")), "{said:?}");
    assert!(refused("[limits]\nrecall_s = 1\nrecall_s = 2\n", &[])[0].starts_with("t.toml:3: is no TOML: duplicate"));
    assert!(refused("recall_s = 1\n", &[])[0].contains("a setting stands in a section"));
    assert!(refused("[store.dir]\nx = 1\n", &[])[0].starts_with("t.toml:1: store.dir = {...}: allowed is a path"));
}

#[test]
fn a_file_that_is_named_must_be_there_and_one_that_is_not_need_not() {
    let Scene { mut sources, _dir: dir } = given("[node]\ndrain_s = 7\n", &[], &[]);
    sources.default_file = sources.file.take();
    assert_eq!(Loaded::read(&sources).accept().unwrap().node.drain_s, 7);
    sources.default_file = Some(dir.path().join("none"));
    assert_eq!(Loaded::read(&sources).accept().unwrap(), Config::default());
    for (file, why) in [("none", "cannot be read"), (".", "cannot be read"), ("binary", "UTF-8"), ("large", "1 MiB")] {
        std::fs::write(dir.path().join("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(dir.path().join("large"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
        sources.file = Some(dir.path().join(file));
        let said = mistakes(Loaded::read(&sources));
        assert!(said.len() == 1 && said[0].contains(why), "{file}: {said:?}");
    }
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    let mut given = given("", &[], &[]);
    given.sources.environment = vec![("TIDINGS_STORE_DIR".into(), OsString::from_vec(vec![b'/', 0xff]))];
    assert_eq!(mistakes(Loaded::read(&given.sources)), ["TIDINGS_STORE_DIR: the value is no UTF-8"]);
}

/// (file, what is said). The line is that of the value that was set.
const UNFIT: &[(&str, &str)] = &[
    (
        "[limits]\nframe_bytes_max = 65536",
        "t.toml:2: limits.frame_bytes_max = 65_536: limits.frame_bytes_max must be at least 6 * limits.body_bytes_max + 4096, here 397312; limits.body_bytes_max = 65_536 (default)",
    ),
    (
        "[limits]\n\nbody_bytes_max = 200000",
        "t.toml:3: limits.body_bytes_max = 200_000: limits.frame_bytes_max must be",
    ),
    (
        "[listen]\naddress = \"0.0.0.0:7400\"",
        "t.toml:2: listen.address = \"0.0.0.0:7400\": this address is not loopback",
    ),
    (
        "[listen]\nadmin = \"10.0.0.1:7401\"",
        "t.toml:2: listen.admin = \"10.0.0.1:7401\": this address is not loopback and the operators'",
    ),
    ("[listen]\nadmin = \"127.0.0.1:7400\"", "t.toml:2: listen.admin = \"127.0.0.1:7400\": clients and operators need"),
    (
        "[listen]\naddress = \"127.0.0.1:65535\"",
        "t.toml:2: listen.address = \"127.0.0.1:65535\": there is no port after",
    ),
    (
        "[listen]\nadmin = \"0.0.0.0:7400\"\nadmin_public = true",
        "t.toml:2: listen.admin = \"0.0.0.0:7400\": clients and",
    ),
    ("[listen]\nout_mb = 2049", "t.toml:2: listen.out_mb = 2_049: at most half of the memory, here 2048"),
    ("[listen]\nout_mb = 2\n[limits]\nframe_bytes_max = 4194304", "t.toml:2: listen.out_mb = 2: must hold one frame"),
    (
        "[store]\nmemtable_mb = 128\ndisk_reserve_mb = 511",
        "t.toml:3: store.disk_reserve_mb = 511: store.disk_reserve_mb must",
    ),
    (
        "[store]\nmemtable_mb = 128\ncache_mb = 1025",
        "t.toml:3: store.cache_mb = 1_025: store.cache_mb + 8 * store.memtable_mb is 2049",
    ),
    (
        "[store]\ninbox_days = 14\n[limits]\nrecall_s = 1209601",
        "t.toml:4: limits.recall_s = 1_209_601: limits.recall_s must be at most",
    ),
    ("[auth]\nkey_file = \"/no/such/key\"", "t.toml:2: auth.key_file = \"/no/such/key\": /no/such/key cannot be read"),
    (
        "[auth]\nsecret = \"0123456789abcdef0123456789abcdef\"",
        "t.toml:2: auth.secret: a secret does not stand in a file",
    ),
];

#[test]
fn values_that_do_not_fit_are_refused_at_the_line_of_the_one_that_was_set() {
    for (file, expected) in UNFIT {
        let said = refused(file, &[]);
        assert!(said.len() == 1 && said[0].starts_with(expected), "{file}: {said:#?}");
        assert!(!said[0].contains("0123456789abcdef"), "{said:?}");
    }
}

#[test]
fn values_at_their_border_fit() {
    for file in [
        "[limits]\nframe_bytes_max = 397312",
        "[listen]\naddress = \"0.0.0.0:7400\"\nbehind_proxy = true",
        "[listen]\nadmin = \"10.0.0.1:7401\"\nadmin_public = true",
        "[listen]\naddress = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"",
        "[listen]\naddress = \"127.0.0.1:7400\"\nadmin = \"127.0.0.2:7400\"",
        "[listen]\nout_mb = 2048",
        "[store]\nmemtable_mb = 128\ncache_mb = 1024",
        "[store]\ninbox_days = 14\n[limits]\nrecall_s = 1209600",
    ] {
        assert_eq!(refused(file, &[]), Vec::<String>::new(), "{file}");
    }
}

#[test]
fn a_secret_is_long_in_the_environment_only_and_never_shown() {
    let (name, good) = ("TIDINGS_AUTH_SECRET", "hunter2hunter2hunter2hunter2hunter2");
    assert_eq!(refused("", &[(name, good)]), Vec::<String>::new());
    let said = refused("", &[(name, "hunter2")]);
    assert!(
        said[0].contains("the secret has 7 bytes, it needs at least 32") && !said[0].contains("hunter2"),
        "{said:?}"
    );
    let said = mistakes(load("", &[], &[("auth.secret", good)]));
    assert!(said[0].contains("every user of this machine sees flags") && !said[0].contains("hunter2"), "{said:?}");
    assert!(!effective(&load("", &[(name, good)], &[])).contains("hunter2"));
    assert!(!format!("{:?}", accepted("", &[(name, good)], &[])).contains("hunter2"));
}

#[test]
fn dev_mode_is_for_loopback_and_everything_else_needs_a_key() {
    let dev = |file: &str| {
        let mut given = given(file, &[], &[]);
        given.sources.dev = true;
        mistakes(Loaded::read(&given.sources).require_key(true))
    };
    assert_eq!(dev(""), Vec::<String>::new());
    assert!(dev("[listen]\naddress = \"0.0.0.0:1\"\n")[0].contains("it serves loopback only"));
    assert!(dev("[listen]\nbehind_proxy = true\n")[0].starts_with("t.toml:2: listen.behind_proxy = true: --dev hands"));
    assert!(mistakes(load("", &[], &[]).require_key(false))[0].contains("use --dev"));
}

#[test]
fn limits_of_the_parts_have_the_defaults_of_the_table() {
    let config = Config::default();
    assert_eq!(config.mailbox_limits(), MailboxLimits::default());
    assert_eq!(config.connection_limits(), ConnectionLimits::default());
    assert_eq!(config.census_limits(), CensusLimits::default());
}

#[test]
fn a_quarter_of_the_memory_waits_for_clients_unless_told_otherwise() {
    let machine = Machine { memory_bytes: Some(8 * GIB), open_files_max: None };
    assert_eq!(Config::default().out_bytes_max(&machine) as u64, 2 * GIB);
    assert_eq!(Config::default().out_bytes_max(&Machine::default()) as u64, GIB);
    assert_eq!(accepted("[listen]\nout_mb = 3", &[], &[]).out_bytes_max(&machine), 3 << 20);
}

#[test]
fn the_default_file_says_the_defaults_also_when_every_line_is_made_to_count() {
    let file = default_file();
    assert_eq!(accepted(&file, &[], &[]), Config::default());
    let active: Vec<&str> =
        file.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)).collect();
    let loaded = load(&active.join("\n"), &[], &[]);
    assert_eq!((mistakes(load(&active.join("\n"), &[], &[])), &loaded.config), (vec![], &Config::default()));
    for (at, setting) in SETTINGS.iter().enumerate() {
        let in_file = matches!(loaded.origin(at), Origin::File(..));
        assert_eq!(in_file, setting.form != value::Form::Secret, "{}", setting.name());
    }
    assert!(file.lines().all(|line| line.len() <= 120), "{file}");
}

#[test]
fn the_effective_settings_are_printed_aligned_and_read_back_as_they_are() {
    let environment = [("TIDINGS_STORE_DIR", "/a \"b\""), ("TIDINGS_LISTEN_OUT_MB", "7")];
    let loaded = load("[node]\nshards = 9\n", &environment, &[]);
    let text = effective(&loaded);
    assert_eq!(accepted(&text, &[], &[]), loaded.config);
    let settings = || text.lines().filter(|line| line.contains(" = ") && !line.starts_with("# A flag"));
    assert_eq!(settings().count(), SETTINGS.len());
    let columns: Vec<usize> = settings().map(|line| line.find("  # ").unwrap()).collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{text}");
    let line = settings().find(|line| line.starts_with("out_mb = 7 ")).unwrap();
    assert!(line.contains("# TIDINGS_LISTEN_OUT_MB  ") && line.ends_with("what may wait for all clients together"));
}

#[test]
fn the_page_of_the_documentation_has_every_row_of_the_table_and_no_other() {
    let page = include_str!("../../docs/configuration.md");
    let row = |setting: &Setting| {
        let (default, allowed, said) = (setting.default_in_words(), setting.allowed(), setting.explanation());
        format!("| `{}` | {default} | {allowed} | {said} |", setting.field)
    };
    for (section, about) in SECTIONS {
        let rows: Vec<String> = SETTINGS.iter().filter(|setting| setting.section == *section).map(row).collect();
        let table = format!(
            "## [{section}]: {about}\n\n| setting | default | allowed | what and why |\n|---|---|---|---|\n{}\n",
            rows.join("\n")
        );
        assert!(page.contains(&table), "docs/configuration.md needs:\n\n{table}");
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), SETTINGS.len());
}

#[test]
fn a_small_machine_keeps_fewer_rows_in_memory() {
    let of = |memory_mb: Option<u64>| {
        let machine = Machine { memory_bytes: memory_mb.map(|mb| mb * 1024 * 1024), ..Machine::default() };
        Config::default().memtable_mb(&machine)
    };
    assert_eq!([of(Some(64)), of(Some(512)), of(Some(65_536)), of(None)], [4, 16, 32, 32]);
    let mut set = Config::default();
    set.store.disk_reserve_mb = 64;
    assert_eq!(set.memtable_mb(&Machine::default()), 16, "no more than the reserve has room for");
    set.store.memtable_mb = 100;
    assert_eq!(set.memtable_mb(&Machine::default()), 100);
}
