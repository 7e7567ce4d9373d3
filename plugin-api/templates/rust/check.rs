//! Packages the plugin and lets bot-bottle load and check it in a child process. $BOT_BOTTLE names the program; else it is
//! looked for on PATH.
use std::path::Path;
use std::process::Command;

#[test]
fn bot_bottle_finds_nothing_wrong() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packaged = Command::new("sh").arg(here.join("package.sh")).output().expect("sh");
    assert!(packaged.status.success(), "{}", String::from_utf8_lossy(&packaged.stderr));
    let program = std::env::var("BOT_BOTTLE").unwrap_or_else(|_| "bot-bottle".to_string());
    let checked = Command::new(&program)
        .args(["plugin", "check"])
        .arg(here.join("plugins/@NAME@"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: install bot-bottle, or set BOT_BOTTLE"));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
