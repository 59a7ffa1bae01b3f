//! The vectors are those of Amazon's own documentation of the S3 API.

use super::*;
use http::Request;

const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const SCOPE: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";

fn head(method: &str, path: &str, headers: &[(&str, &str)], names: &str, signature: &str) -> Parts {
    let credential = format!("{ALGORITHM} Credential={SCOPE},SignedHeaders={names},Signature={signature}");
    let mut request = Request::builder().method(method).uri(path).header("authorization", credential);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn is_good(head: &Parts, key: &str) -> bool {
    Signature::of(head).unwrap().unwrap().is_of(key).into()
}

#[test]
fn documented_requests_fit() {
    let host = ("host", "examplebucket.s3.amazonaws.com");
    let at = (DATE, "20130524T000000Z");
    let get = head(
        "GET",
        "/test.txt",
        &[host, ("range", "bytes=0-9"), (CONTENT, NOTHING), at],
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    assert!(is_good(&get, KEY));
    assert!(!is_good(&get, "another"));
    let content = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let names = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class";
    let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
    let class = ("x-amz-storage-class", "REDUCED_REDUNDANCY");
    let headers = [host, date, (CONTENT, content), at, class];
    assert!(is_good(&head("PUT", "/test%24file.text", &headers, names, signature), KEY));
    // As sent is as meant: `$` may come as it is.
    assert!(is_good(&head("PUT", "/test$file.text", &headers, names, signature), KEY));
    for (method, path) in [("POST", "/test$file.text"), ("PUT", "/test$file.texu"), ("PUT", "/test$file.text?acl")] {
        assert!(!is_good(&head(method, path, &headers, names, signature), KEY), "{method} {path}");
    }
    let names = "host;x-amz-content-sha256;x-amz-date";
    let list = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    let headers = [host, (CONTENT, NOTHING), at];
    assert!(is_good(&head("GET", "/?max-keys=2&prefix=J", &headers, names, list), KEY));
    assert!(is_good(&head("GET", "/?prefix=J&max-keys=2", &headers, names, list), KEY), "in whatever order");
}

#[test]
fn documented_chunks_fit() {
    let names = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
        x-amz-decoded-content-length;x-amz-storage-class";
    let headers = [
        ("host", "s3.amazonaws.com"),
        (DATE, "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        (CONTENT, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ];
    let signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let head = head("PUT", "/examplebucket/chunkObject.txt", &headers, names, signature);
    let signed = Signature::of(&head).unwrap().unwrap();
    assert!(bool::from(signed.is_of(KEY)));
    let chunk =
        |size: usize, signature: &str| format!("{size:x};chunk-signature={signature}\r\n{}\r\n", "a".repeat(size));
    let body = [
        chunk(65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ]
    .concat();
    let signer = signed.signer(KEY);
    let whole = Chunked::read(body.as_bytes()).unwrap();
    assert_eq!(whole.content(), "a".repeat(66_560).as_bytes());
    assert_eq!(signed.check_chunks(&signer, &whole), Ok(()));
    for (from, to) in [
        ("aaa\r\n400", "aab\r\n400"),
        ("chunk-signature=0055", "chunk-signature=0056"),
        (";chunk-signature=b6c6", ";x=b6c6"),
    ] {
        let altered = body.replace(from, to);
        assert_ne!(altered, body);
        assert_eq!(signed.check_chunks(&signer, &Chunked::read(altered.as_bytes()).unwrap()), Err(Fault::Body));
    }
    assert_eq!(signed.check_chunks(&signed.signer("another"), &whole), Err(Fault::Body));
}

#[test]
fn chunks_are_put_together() {
    let body = b"4;chunk-signature=ab\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    let read = Chunked::read(body).unwrap();
    assert_eq!(read.content(), b"{\"a\":1}");
    assert_eq!(read.trailer("X-Amz-Checksum-CRC32"), Some("AAAAAA=="));
    for broken in [&b""[..], b"5\r\nab", b"zz\r\nab\r\n0\r\n", b"2\r\nabcd", b"ffffffffffffffffff\r\n"] {
        assert!(Chunked::read(broken).is_none(), "{broken:?}");
    }
}

#[test]
fn what_covers_too_little_is_no_signature() {
    let headers = [("host", "h"), (DATE, "20130524T000000Z"), (CONTENT, NOTHING)];
    for names in ["host;x-amz-date", "x-amz-content-sha256;x-amz-date", "host;x-amz-content-sha256", ""] {
        assert_eq!(Signature::of(&head("PUT", "/a", &headers, names, "00")).unwrap().unwrap_err(), Fault::Malformed);
    }
    let other_day = [("host", "h"), (DATE, "20130525T000000Z"), (CONTENT, NOTHING)];
    let names = "host;x-amz-content-sha256;x-amz-date";
    assert!(Signature::of(&head("PUT", "/a", &other_day, names, "00")).unwrap().is_err());
    let bearer = Request::builder().header("authorization", "Bearer x").body(()).unwrap().into_parts().0;
    assert!(Signature::of(&bearer).is_none());
}

#[test]
fn a_signature_counts_for_a_quarter_of_an_hour() {
    let headers = [("host", "h"), (DATE, "20130524T000000Z"), (CONTENT, NOTHING)];
    let head = head("PUT", "/a", &headers, "host;x-amz-content-sha256;x-amz-date", "00");
    let signed = Signature::of(&head).unwrap().unwrap();
    let then = 1_369_353_600_000_000;
    for (off, good) in [(0, true), (899, true), (-899, true), (901, false), (-901, false)] {
        assert_eq!(signed.check_time(then + off * 1_000_000).is_ok(), good, "{off}");
    }
}
