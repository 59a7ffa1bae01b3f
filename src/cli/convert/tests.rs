use super::*;
use std::fs;
use std::path::Path;

fn digest(inputs: &[&Path]) -> u128 {
    let inputs: Vec<PathBuf> = inputs.iter().map(|path| path.to_path_buf()).collect();
    let mut hasher = Xxh3::new();
    Inputs::new(&inputs).digest(&mut hasher);
    hasher.digest128()
}

#[test]
fn a_run_is_known_by_the_names_bytes_and_order_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (run, copy) = (folder.path().join("run"), folder.path().join("copy"));
    for folder in [&run, &copy] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("1-traces.json"), "{}").unwrap();
        fs::write(folder.join("2-traces.json"), "{\"resourceSpans\":[]}").unwrap();
    }
    let known = digest(&[&run]);
    assert_eq!(known, digest(&[&copy]), "wherever it stands");
    assert_ne!(known, digest(&[&run, &copy]));
    fs::write(copy.join("notes.txt"), "not read").unwrap();
    assert_eq!(known, digest(&[&copy]));
    fs::write(copy.join("2-traces.json"), "{\"resourceSpans\":[] }").unwrap();
    assert_ne!(known, digest(&[&copy]));
    let (one, two) = (run.join("1-traces.json"), run.join("2-traces.json"));
    assert_ne!(digest(&[&one, &two]), digest(&[&two, &one]));
}

#[test]
fn hashes_need_a_key_and_the_server_s_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("CHATLAKE_REDACTION__POLICY".to_owned(), "strict".to_owned()),
        ("CHATLAKE_DATA__DIR".to_owned(), folder.path().display().to_string()),
    ];
    let config = Config::read(None, &environment.into()).unwrap();
    assert!(redactor(&config).unwrap_err().contains("redaction.hash_key"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "convert makes no files there");
    redact::load_or_create(folder.path()).unwrap();
    assert!(redactor(&config).is_ok());
}
