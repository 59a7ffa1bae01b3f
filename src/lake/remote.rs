//! Stores of objects by URL: a local folder, S3 and what speaks its protocol, Google Cloud Storage, Azure.
//!
//! | URL | store | credentials and the like |
//! |---|---|---|
//! | `path`, `file:///path` | local folder, every file and folder synced | |
//! | `s3://bucket/prefix` | S3 | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ... |
//! | `gs://bucket/prefix` | Google Cloud Storage | `GOOGLE_SERVICE_ACCOUNT`, ... |
//! | `az://container/prefix` | Azure | `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, ... |
//!
//! The client's own retries are off: it does not repeat a create whose body was cut, and repeats one whose answer was
//! lost without saying so. [`super::store`] repeats, and looks at what is there. Here each answer of a store is put in
//! one of the classes of [`Failure`].

mod answer;
#[cfg(test)]
mod tests;

use super::key::Prefix;
use super::objects::Failure;
use super::objects::Listed;
use super::objects::Objects;
use super::objects::Scope;
use answer::classify;
use answer::text;
pub use answer::variables;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::ClientOptions;
use object_store::Error;
use object_store::ObjectStore;
use object_store::ObjectStoreExt as _;
use object_store::PutMode;
use object_store::PutOptions;
use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Schemes of URLs, of all stores.
const SCHEMES: [&str; 9] = ["file", "s3", "s3a", "gs", "az", "abfs", "abfss", "azure", "adl"];
/// A store that is reached by its URL.
#[derive(Debug)]
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    base: Prefix,
    url: String,
    /// Where a local store is; its lists come without an order.
    folder: Option<PathBuf>,
}

/// Why a URL leads to no store.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Not one of the forms that are known.
    #[error("store url {url:?} is not known: use a folder, file:///path, s3://bucket/prefix, gs:// or az://")]
    Unknown {
        /// The URL.
        url: String,
    },
    /// A path of a file's URL that depends on where the program runs.
    #[error("store url file://{path} has no path that begins at the root: write file:///{path}, or {path} alone")]
    Relative {
        /// The path.
        path: String,
    },
    /// No bucket, or no container.
    #[error("store url {url:?} names no bucket: write it as s3://bucket/prefix")]
    Bucket {
        /// The URL.
        url: String,
    },
    /// Something that is secret in what is printed.
    #[error("store url holds credentials: set them by the variables of the cloud, and write {scheme}://bucket/prefix")]
    Credentials {
        /// The URL's.
        scheme: String,
    },
    /// The path within the bucket.
    #[error("store url {url:?}")]
    Prefix {
        /// The URL.
        url: String,
        /// What is wrong with it.
        #[source]
        source: super::key::KeyError,
    },
    /// The client's own objection, such as a missing account name.
    #[error("store url {url:?} with its environment variables: {said}: set {}", variables(url))]
    Client {
        /// The URL.
        url: String,
        /// What is wrong.
        said: String,
    },
    /// A folder that cannot be made.
    #[error("make folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether a text is a folder or a URL of a known form. Nothing is asked or made.
///
/// # Errors
/// What is wrong with it.
pub fn is_well_formed(url: &str) -> Result<(), UrlError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `s3:/bucket` and `s3//bucket` are no folders that anybody means.
        let is_meant = SCHEMES
            .iter()
            .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':') || rest.starts_with("//")));
        return if is_meant { Err(UrlError::Unknown { url: url.to_owned() }) } else { Ok(()) };
    };
    if !SCHEMES.contains(&scheme) {
        return Err(UrlError::Unknown { url: url.to_owned() });
    }
    if scheme == "file" {
        return if rest.starts_with('/') { Ok(()) } else { Err(UrlError::Relative { path: rest.to_owned() }) };
    }
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') && !scheme.starts_with("abfs") {
        return Err(UrlError::Credentials { scheme: scheme.to_owned() });
    }
    if bucket.is_empty() {
        return Err(UrlError::Bucket { url: url.to_owned() });
    }
    path.parse::<Prefix>().map_err(|source| UrlError::Prefix { url: url.to_owned(), source })?;
    Ok(())
}

impl Remote {
    /// Opens the store of a URL. `environment` holds the variables of the process: those that a store knows count.
    /// Nothing is asked of a store yet; a local folder is made where it is missing.
    ///
    /// # Errors
    /// When the URL, or a variable, leads to no store.
    pub fn open(url: &str, environment: &BTreeMap<String, String>) -> Result<Self, UrlError> {
        is_well_formed(url)?;
        let Some((scheme, rest)) = url.split_once("://") else { return Self::local(url.into()) };
        let base = || {
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            path.parse().map_err(|source| UrlError::Prefix { url: url.to_owned(), source })
        };
        let client = |error| UrlError::Client { url: url.to_owned(), said: text(&error) };
        let store: Arc<dyn ObjectStore> = match scheme {
            "file" => return Self::local(PathBuf::from(rest)),
            "s3" | "s3a" => Arc::new(s3(url, environment).map_err(client)?),
            "gs" => Arc::new(gcs(url, environment).map_err(client)?),
            "az" | "abfs" | "abfss" | "azure" | "adl" => Arc::new(azure(url, environment).map_err(client)?),
            _ => return Err(UrlError::Unknown { url: url.to_owned() }),
        };
        Ok(Self { store, base: base()?, url: url.trim_end_matches('/').to_owned(), folder: None })
    }

    fn local(folder: PathBuf) -> Result<Self, UrlError> {
        let made = std::fs::create_dir_all(&folder);
        made.map_err(|source| UrlError::Folder { folder: folder.clone(), source })?;
        let store = LocalFileSystem::new_with_prefix(&folder);
        let fault = |error| UrlError::Folder { folder: folder.clone(), source: io::Error::other(text(&error)) };
        let store = store.map_err(fault)?.with_fsync(true);
        let url = folder.to_string_lossy().trim_end_matches('/').to_owned();
        Ok(Self { store: Arc::new(store), base: Prefix::default(), url, folder: Some(folder) })
    }

    /// The store's URL, of a local one its folder: what readers put before keys.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a local store is.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    fn path(&self, key: &str) -> Result<Path, Failure> {
        let key = self.base.join(key);
        Path::parse(key.trim_end_matches('/'))
            .map_err(|error| Failure::Refused { scope: Scope::Object, why: error.to_string() })
    }

    fn failure(&self, error: &Error) -> Failure {
        classify(error, &self.url)
    }
}

fn options() -> ClientOptions {
    // Attempts are timed by whoever makes them, by the bytes they move.
    ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT)
}

fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The settings of a store among the variables of the environment.
fn settings<K: std::str::FromStr>(environment: &BTreeMap<String, String>, start: &str) -> Vec<(K, String)> {
    let of_store = environment.iter().filter(|(name, _)| name.starts_with(start));
    of_store.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.clone()))).collect()
}

fn s3(url: &str, environment: &BTreeMap<String, String>) -> Result<impl ObjectStore + use<>, Error> {
    let mut builder = AmazonS3Builder::new().with_client_options(options()).with_retry(no_retries());
    for (key, value) in settings(environment, "AWS_") {
        builder = builder.with_config(key, value);
    }
    let endpoint = environment.iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT"));
    if endpoint.into_iter().any(|(_, value)| value.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    builder.with_url(url).build()
}

fn gcs(url: &str, environment: &BTreeMap<String, String>) -> Result<impl ObjectStore + use<>, Error> {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options()).with_retry(no_retries());
    for (key, value) in settings(environment, "GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    builder.with_url(url).build()
}

fn azure(url: &str, environment: &BTreeMap<String, String>) -> Result<impl ObjectStore + use<>, Error> {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(options()).with_retry(no_retries());
    for (key, value) in settings(environment, "AZURE_") {
        builder = builder.with_config(key, value);
    }
    builder.with_url(url).build()
}

#[async_trait]
impl Objects for Remote {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.path(key)?, bytes.into(), options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match self.failure(&error) {
                // A put has nothing to find: what is missing is what the object would stand in.
                Failure::NotFound => Failure::NotWritten(text(&error)),
                failure => failure,
            }),
        }
    }

    async fn read(&self, key: &str) -> Result<Bytes, Failure> {
        let found = self.store.get(&self.path(key)?).await.map_err(|error| self.failure(&error))?;
        found.bytes().await.map_err(|error| self.failure(&error))
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
        let (folder, after) = (self.path(folder)?, after.map(|after| self.path(after)).transpose()?);
        let stream = match &after {
            Some(after) => self.store.list_with_offset(Some(&folder), after),
            None => self.store.list(Some(&folder)),
        };
        let listed = |object: object_store::ObjectMeta| {
            Some(Listed {
                key: self.base.strip(object.location.as_ref())?.to_owned(),
                bytes: object.size,
                modified: object.last_modified.timestamp_micros(),
            })
        };
        let objects = stream.map_ok(listed).map_err(|error| self.failure(&error));
        // A folder on a disk has no order of its own.
        let bound = if self.folder.is_some() { usize::MAX } else { limit };
        let objects: Vec<Option<Listed>> = futures::StreamExt::take(objects, bound).try_collect().await?;
        let mut objects: Vec<Listed> = objects.into_iter().flatten().collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects.truncate(limit);
        Ok(objects)
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let found = self.store.list_with_delimiter(Some(&self.path(folder)?)).await;
        let found = found.map_err(|error| self.failure(&error))?;
        let keys = found.common_prefixes.iter().filter_map(|path| self.base.strip(path.as_ref()));
        let mut folders: Vec<String> = keys.map(str::to_owned).collect();
        folders.sort_unstable();
        Ok(folders)
    }
}
