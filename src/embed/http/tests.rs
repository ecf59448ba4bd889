use super::*;

fn service(url: &str, key: &str) -> Result<Service, EmbedError> {
    let (url, key) = (url.to_owned(), Secret::new(key));
    Service::new("clip", &ServiceSettings { url, key, timeout: Duration::from_secs(1) })
}

fn url(base: &str, path: &str) -> String {
    service(base, "").unwrap().request(Method::GET, path).build().unwrap().url().to_string()
}

#[test]
fn a_path_is_appended_to_the_url() {
    for base in ["http://h:1", "http://h:1/"] {
        assert_eq!(url(base, "/embedding/image"), "http://h:1/embedding/image");
        assert_eq!(url(base, "/"), "http://h:1/");
    }
    for base in ["https://h/v1", "https://h/v1/"] {
        assert_eq!(url(base, "/embeddings"), "https://h/v1/embeddings");
    }
}

#[test]
fn a_key_is_sent_and_never_printed() {
    let service = service("http://h", "hush").unwrap();
    let request = service.request(Method::GET, "/").build().unwrap();
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer hush");
    assert!(!format!("{service:?}{request:?}").contains("hush"));
}

#[test]
fn invalid_settings_are_refused_without_repeating_them() {
    for wrong in
        ["", "h:8000", "ftp://h", "http://", "http://u:hush@h", "http://hush@h", "http://h?key=hush", "http://h#a"]
    {
        let error = address(wrong).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
        assert!(matches!(service(wrong, ""), Err(EmbedError::Dependency(down)) if down.trouble == Trouble::Refused));
    }
    let error = service("http://h", "hush\n").unwrap_err().to_string();
    assert!(error.contains("key") && !error.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_with_its_cause() {
    let failure = service("http://127.0.0.1:1", "").unwrap().get("/", 9).await.unwrap_err();
    let EmbedError::Dependency(down) = failure.error else { panic!("{failure:?}") };
    assert_eq!((down.trouble, failure.status), (Trouble::Failed, None));
    assert!(down.detail.to_lowercase().contains("refused"), "{}", down.detail);
}
