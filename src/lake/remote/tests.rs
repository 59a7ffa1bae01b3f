use super::*;

fn local() -> (tempfile::TempDir, Remote) {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::open(&folder.path().join("lake").to_string_lossy(), &BTreeMap::new()).unwrap();
    (folder, remote)
}

async fn keys(remote: &Remote, folder: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    remote.list(folder, after, limit).await.unwrap().into_iter().map(|object| object.key).collect()
}

#[tokio::test]
async fn a_local_folder_creates_once_reads_and_lists_in_order() {
    let (folder, remote) = local();
    for key in ["b/2", "b/1/x", "b/10", "a", "bc/1"] {
        remote.create(key, Bytes::from(key.to_owned())).await.unwrap();
    }
    assert_eq!(remote.create("b/2", Bytes::new()).await, Err(Failure::Exists));
    assert_eq!(remote.read("b/2").await.unwrap(), "b/2");
    assert_eq!(remote.read("c").await, Err(Failure::NotFound));
    assert_eq!(keys(&remote, "b", None, 9).await, ["b/1/x", "b/10", "b/2"]);
    assert_eq!(keys(&remote, "b", Some("b/1/x"), 1).await, ["b/10"]);
    assert_eq!(keys(&remote, "", None, 9).await.len(), 5);
    assert_eq!(keys(&remote, "none", None, 9).await, [] as [&str; 0]);
    assert_eq!(remote.folders("").await.unwrap(), ["b", "bc"]);
    assert_eq!(remote.folders("b").await.unwrap(), ["b/1"]);
    assert_eq!(std::fs::read(folder.path().join("lake/b/1/x")).unwrap(), b"b/1/x");
}

#[tokio::test]
async fn encoded_keys_stand_in_a_folder_as_they_are() {
    let (folder, remote) = local();
    let key = "events/conv_id=a%2Fb%00%25/env=__HIVE_DEFAULT_PARTITION__/x.parquet";
    remote.create(key, Bytes::from_static(b"1")).await.unwrap();
    assert!(folder.path().join("lake").join(key).exists());
    assert_eq!(keys(&remote, "events", None, 9).await, [key]);
    assert_eq!(remote.read(key).await.unwrap(), "1");
}

#[tokio::test]
async fn a_key_that_leaves_the_folder_is_refused() {
    let (_folder, remote) = local();
    for key in ["../x", "a/../../x", "a//b"] {
        let failure = remote.create(key, Bytes::new()).await.unwrap_err();
        assert!(matches!(failure, Failure::Refused { scope: Scope::Object, .. }), "{key}: {failure:?}");
    }
}

#[tokio::test]
async fn a_folder_that_vanished_is_made_again_and_one_in_the_way_is_told() {
    let (folder, remote) = local();
    std::fs::remove_dir(folder.path().join("lake")).unwrap();
    remote.create("a/b", Bytes::new()).await.unwrap();
    std::fs::write(folder.path().join("lake/file"), "").unwrap();
    let failure = remote.create("file/b", Bytes::new()).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused { scope: Scope::Store, .. }), "{failure:?}");
}

#[test]
fn a_url_that_leads_nowhere_says_why() {
    let says = |url: &str| format!("{:#}", anyhow::Error::from(Remote::open(url, &BTreeMap::new()).unwrap_err()));
    assert!(says("ftp://x/y").contains("use a folder, file:///path, s3://bucket/prefix, gs:// or az://"));
    assert!(says("s3://bucket/a/../b").contains("no piece of it"));
    assert!(says("s3://bucket/_x").contains("prefix \"_x\""));
    assert!(says("/proc/nothing/here").contains("make folder /proc/nothing/here"));
    let account = says("az://container/x");
    assert_eq!(account.matches("Account must be specified").count(), 1, "{account}");
    assert!(account.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{account}");
    let environment = BTreeMap::from([("GOOGLE_SERVICE_ACCOUNT".to_owned(), "/nope.json".to_owned())]);
    let key = Remote::open("gs://bucket/x", &environment).unwrap_err().to_string();
    assert_eq!(key.matches("No such file").count(), 1, "{key}");
    assert!(key.contains("/nope.json") && key.contains("GOOGLE_SERVICE_ACCOUNT"), "{key}");
}

#[test]
fn s3_is_set_by_the_usual_variables() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = BTreeMap::from([
        variable("AWS_ACCESS_KEY_ID", "key"),
        variable("AWS_SECRET_ACCESS_KEY", "hidden"),
        variable("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        variable("AWS_PAGER", "less"),
        variable("HOME", "/"),
    ]);
    let remote = Remote::open("s3://bucket/team/lake/", &environment).unwrap();
    assert_eq!(remote.url(), "s3://bucket/team/lake");
    assert_eq!(remote.path("events/x").unwrap().as_ref(), "team/lake/events/x");
    assert!(remote.folder().is_none());
}

fn answer(status: &str, code: &str) -> Failure {
    let said = format!(
        "Error performing PUT http://s/b/k in 1ms - Server returned non-2xx status code: {status}: \
         <?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>"
    );
    let source = said.into();
    let path = "k".to_owned();
    let error = match status.split(' ').next().unwrap() {
        "404" => Error::NotFound { path, source },
        "403" => Error::PermissionDenied { path, source },
        "401" => Error::Unauthenticated { path, source },
        "409" => Error::AlreadyExists { path, source },
        _ => Error::Generic { store: "S3", source },
    };
    classify(&error, "s3://b")
}

#[test]
fn answers_are_put_in_their_classes() {
    for (status, code) in [("404 Not Found", "NoSuchBucket"), ("404 Not Found", "XAdminUserNotFound")]
        .into_iter()
        .chain([("403 Forbidden", "InvalidAccessKeyId"), ("403 Forbidden", "SignatureDoesNotMatch")])
        .chain([("400 Bad Request", "ExpiredToken"), ("403 Forbidden", "RequestTimeTooSkewed")])
        .chain([("301 Moved Permanently", "PermanentRedirect"), ("501 Not Implemented", "NotImplemented")])
        .chain([("401 Unauthorized", "")])
    {
        let failure = answer(status, code);
        assert!(matches!(failure, Failure::Refused { scope: Scope::Store, .. }), "{status} {code}: {failure:?}");
    }
    for (status, code) in
        [("403 Forbidden", "AccessDenied"), ("400 Bad Request", "KeyTooLongError"), ("413 Too Large", "")]
    {
        let failure = answer(status, code);
        assert!(matches!(failure, Failure::Refused { scope: Scope::Object, .. }), "{status} {code}: {failure:?}");
    }
    assert!(answer("503 Service Unavailable", "SlowDown").is_passing());
    assert!(answer("500 Internal Server Error", "InternalError").is_passing());
    assert!(answer("429 Too Many Requests", "").is_passing());
    assert!(answer("400 Bad Request", "RequestTimeout").is_passing());
    assert_eq!(answer("404 Not Found", "NoSuchKey"), Failure::NotFound);
    assert_eq!(answer("409 Conflict", "ConditionalRequestConflict"), Failure::Exists);
}

#[test]
fn a_refusal_names_the_thing_and_the_way_out() {
    let text = answer("404 Not Found", "NoSuchBucket").to_string();
    assert_eq!(text, "store s3://b says NoSuchBucket: m: create the bucket, or set store.url to one that exists");
    assert!(
        answer("403 Forbidden", "SignatureDoesNotMatch")
            .to_string()
            .contains("check the credentials: AWS_SECRET_ACCESS_KEY")
    );
}

#[test]
fn a_trouble_is_told_alike_at_each_attempt() {
    let of = |time: &str| {
        let source =
            format!("Error performing PUT http://h:9/b/k in {time} - Server returned non-2xx status code: 503 Busy");
        text(&Error::Generic { store: "S3", source: source.into() })
    };
    assert_eq!(of("540.329µs"), "Error performing PUT http://h:9/b/k - Server returned non-2xx status code: 503 Busy");
    assert_eq!(of("1.2ms"), of("10.000001s"));
}

#[tokio::test]
async fn a_store_that_nobody_answers_for_says_what_to_look_at() {
    let environment =
        [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let remote = Remote::open("s3://bucket/lake", &environment).unwrap();
    let Err(Failure::NotWritten(why)) = remote.create("k", Bytes::new()).await else { panic!("nobody is there") };
    assert!(
        why.starts_with("store s3://bucket/lake cannot be reached: Error performing PUT http://127.0.0.1:9/"),
        "{why}"
    );
    assert!(why.contains("Connection refused") && why.ends_with("AWS_REGION and AWS_ENDPOINT_URL"), "{why}");
}
