use std::{cell::RefCell, convert::Infallible, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;

use super::*;
use crate::net::{listen::Listener, spawn, testing::run};

/// Method and path, Authorization header, body.
type SeenRequests = Rc<RefCell<Vec<(String, Option<String>, String)>>>;

/// An issuer on loopback; `answer` gives status and body for a path and whether it came with
/// an Authorization header.
fn issuer(answer: impl Fn(&str, &str, bool) -> (u16, String) + 'static) -> (String, SeenRequests) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().port());
    let seen = SeenRequests::default();
    let (base, log, answer) = (url.clone(), seen.clone(), Rc::new(answer));
    spawn(async move {
        loop {
            let io = listener.accept().await.unwrap();
            let (base, log, answer) = (base.clone(), log.clone(), answer.clone());
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (base, log, answer) = (base.clone(), log.clone(), answer.clone());
                async move {
                    let what = format!("{} {}", request.method(), request.uri());
                    let path = request.uri().path().to_owned();
                    let header = request.headers().get("authorization");
                    let header = header.map(|value| value.to_str().unwrap().to_owned());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body = String::from_utf8(body.into()).unwrap();
                    let (status, text) = answer(&base, &path, header.is_some());
                    log.borrow_mut().push((what, header, body));
                    let mut response = Response::builder().status(status);
                    if status == 302 {
                        response = response.header("location", text.clone());
                    }
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
                }
            });
            spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service)).detach();
        }
    })
    .detach();
    (url, seen)
}

fn document(base: &str) -> (u16, String) {
    (200, format!(r#"{{"issuer":"{base}/","token_endpoint":"{base}/token"}}"#))
}

async fn fetch_token(issuer: String) -> Result<(&'static str, MetadataValue<Ascii>), AuthError> {
    let auth = MembershipAuth::Bearer { issuer, client_secret: "secret".into() };
    auth.credential("r1", &Proxy::none()).await
}

#[test]
fn mode_token_sends_the_token() {
    run(async {
        let auth = MembershipAuth::Token("abc".into());
        let (key, value) = auth.credential("r1", &Proxy::none()).await.unwrap();
        assert_eq!((key, value.to_str().unwrap(), value.is_sensitive()), ("token", "abc", true));
        assert!(!format!("{auth:?}").contains("abc"));
    });
}

#[test]
fn mode_bearer_discovers_the_endpoint_and_authenticates_in_the_header() {
    run(async {
        let (url, seen) = issuer(|base, path, _| match path {
            "/.well-known/openid-configuration" => document(base),
            _ => (200, r#"{"access_token":"t1"}"#.into()),
        });
        let (key, value) = fetch_token(url).await.unwrap();
        assert_eq!((key, value.to_str().unwrap()), ("bearer", "t1"));
        let seen = seen.borrow();
        assert_eq!(seen[0].0, "GET /.well-known/openid-configuration");
        let basic = "Basic cmVnaW9uX3IxOnNlY3JldA==".to_owned();
        let form = "grant_type=client_credentials".to_owned();
        assert_eq!(seen[1], ("POST /token".into(), Some(basic), form));
        assert_eq!(seen.len(), 2);
    });
}

#[test]
fn an_answer_of_any_size_is_read_as_far_as_it_is_of_use() {
    run(async {
        let (url, _) = issuer(|_, _, _| (500, "x".repeat(8 << 20)));
        let error = fetch_token(url).await.unwrap_err().to_string();
        assert!(error.contains("500") && error.len() < 1000, "{error}");
        let (url, _) = issuer(|base, path, _| match path {
            "/.well-known/openid-configuration" => document(base),
            _ => (200, format!(r#"{{"access_token":"{}"}}"#, "x".repeat(8 << 20))),
        });
        let error = fetch_token(url).await.unwrap_err().to_string();
        assert!(error.contains("larger than 1024 KiB"), "{error}");
    });
}

#[test]
fn an_issuer_that_refuses_the_header_gets_both_in_the_body() {
    run(async {
        let (url, seen) = issuer(|base, path, header| match (path, header) {
            ("/token", true) => (401, r#"{"error":"invalid_client"}"#.into()),
            ("/token", false) => (200, r#"{"access_token":"t2"}"#.into()),
            _ => document(base),
        });
        assert_eq!(fetch_token(url).await.unwrap().1.to_str().unwrap(), "t2");
        let form = "grant_type=client_credentials&client_id=region_r1&client_secret=secret";
        assert_eq!(seen.borrow()[2].2, form);
    });
}

#[test]
fn refused_both_ways_the_error_says_why() {
    run(async {
        let (url, seen) = issuer(|base, path, _| match path {
            "/token" => (401, r#"{"error":"invalid_client"}"#.into()),
            _ => document(base),
        });
        let error = fetch_token(url.clone()).await.unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains("invalid_client"), "{error}");
        assert_eq!(seen.borrow().len(), 3);
    });
}

#[test]
fn discovery_follows_a_redirect() {
    run(async {
        let (url, _) = issuer(|base, path, _| match path {
            "/.well-known/openid-configuration" => (302, "/moved".into()),
            "/moved" => document(base),
            _ => (200, r#"{"access_token":"t3"}"#.into()),
        });
        assert_eq!(fetch_token(url).await.unwrap().1.to_str().unwrap(), "t3");
    });
}

#[test]
fn an_issuer_that_is_away_is_named() {
    run(async {
        let error = fetch_token("http://127.0.0.1:1".into()).await.unwrap_err();
        assert!(matches!(error, AuthError::Fetch { .. }), "{error}");
    });
}
