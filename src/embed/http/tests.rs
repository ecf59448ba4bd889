use super::*;

fn service(url: &str, key: &str) -> Result<Service, EmbedError> {
    let (url, key) = (url.to_owned(), Secret::new(key));
    Service::new("clip", &ServiceSettings { url, key, timeout: Duration::from_secs(1) })
}

fn url(base: &str, path: &str) -> String {
    service(base, "").unwrap().request(Method::GET, path).build().unwrap().url().to_string()
}

#[test]
fn paths_are_put_behind_the_address() {
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
fn what_cannot_be_used_is_refused_without_repeating_it() {
    for wrong in
        ["", "h:8000", "ftp://h", "http://", "http://u:hush@h", "http://hush@h", "http://h?key=hush", "http://h#a"]
    {
        let said = address(wrong).unwrap_err();
        assert!(!said.contains("hush"), "{said}");
        assert!(matches!(service(wrong, ""), Err(EmbedError::Dependency(down)) if down.trouble == Trouble::Refused));
    }
    let said = service("http://h", "hush\n").unwrap_err().to_string();
    assert!(said.contains("key") && !said.contains("hush"), "{said}");
}

#[tokio::test]
async fn nobody_there_is_a_failure_that_says_why() {
    let no = service("http://127.0.0.1:1", "").unwrap().get("/", 9).await.unwrap_err();
    let EmbedError::Dependency(down) = no.error else { panic!("{no:?}") };
    assert_eq!((down.trouble, no.status), (Trouble::Failed, None));
    assert!(down.detail.to_lowercase().contains("refused"), "{}", down.detail);
}
