//! An S3 server in this process, over a folder, that checks signatures: for tests that need no other.

use super::duck::S3;
use super::{runtime, wait};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::path::Path;

/// Starts a server with one bucket, its files below `folder`. It ends with the tests.
pub(crate) fn serve_bucket(folder: &Path, bucket: &str) -> S3 {
    let buckets = folder.join("buckets");
    std::fs::create_dir_all(buckets.join(bucket)).expect("a bucket is a folder");
    let (key_id, secret) = ("test".to_owned(), "testtest".to_owned());
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&buckets).expect("the folder"));
    service.set_auth(SimpleAuth::from_single(key_id.clone(), secret.clone()));
    let service = service.build();
    let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let endpoint = listener.local_addr().expect("its address").to_string();
    runtime().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                // A client that goes away is its own affair.
                builder.serve_connection(TokioIo::new(socket), service).await.unwrap_or_default();
            });
        }
    });
    S3 { endpoint, key_id, secret }
}
