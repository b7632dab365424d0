//! Who may do what, as it is kept.

use serde_json::json;
use sheaf_db::testing::TestDatabase;
use sheaf_db::{Access, Credential, Grant, Login, NewEvent, NewSession, NewToken, NewUser, RepositoryError};
use uuid::Uuid;

const LATER_MS: i64 = 4_000_000_000_000;

async fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres().await]
}

fn event(action: &str) -> NewEvent {
    NewEvent::by_command(action, "something", json!({"why": "test"}))
}

fn user(id: &str) -> NewUser {
    NewUser { id: id.to_owned(), name: id.to_uppercase(), scheme: None, password_hash: None }
}

fn token(user: &str, secret: u8, grants: &[Grant]) -> NewToken {
    NewToken {
        user: user.to_owned(),
        name: format!("token {secret}"),
        secret: [secret; 32],
        expires_at_ms: None,
        grants: grants.to_vec(),
    }
}

fn read(pattern: &str) -> Grant {
    Grant::new("CanReadCatalog", pattern)
}

/// Runs a change, and checks that it shows.
async fn changes<T>(access: &Access, change: impl Future<Output = Result<T, RepositoryError>>) -> T {
    let before = access.state().await.unwrap();
    let result = change.await.unwrap();
    assert_ne!(access.state().await.unwrap(), before);
    result
}

/// Runs what changes nothing, and checks that nothing shows.
async fn leaves<T>(access: &Access, change: impl Future<Output = Result<T, RepositoryError>>) -> T {
    let before = access.state().await.unwrap();
    let result = change.await.unwrap();
    assert_eq!(access.state().await.unwrap(), before);
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_leads_to_its_user_until_it_is_revoked() {
    for test in both().await {
        let access = test.open().await.access();
        // Another process.
        let other = test.open().await.access();
        let grants = [read("/a"), Grant::new("role", "Administrator")];
        assert_eq!(access.holder_of_token(&[1; 32]).await.unwrap().1, None);
        assert_eq!(leaves(&access, other.add_token(token("lab", 1, &[]), event("x"))).await, None);
        changes(&access, other.add_user(user("lab"), &grants, event("user.create"))).await;
        let added = changes(&access, other.add_token(token("lab", 1, &grants), event("token.create")));
        let added = added.await.unwrap();
        assert!(added.created_at_ms > 1_700_000_000_000);

        let (state, holder) = access.holder_of_token(&[1; 32]).await.unwrap();
        assert_eq!(state, access.state().await.unwrap());
        let holder = holder.unwrap();
        assert_eq!((holder.user.id.as_str(), holder.user.name.as_str()), ("lab", "LAB"));
        assert_eq!(holder.credential, Credential::Token(added.clone()));
        assert!(holder.claims.iter().map(|claim| &claim.grant).eq(&grants), "{:?}", holder.claims);
        assert_eq!(access.holder_of_token(&[2; 32]).await.unwrap().1, None);
        assert_eq!(access.holder_of_session(&[1; 32]).await.unwrap().1, None);

        let by_id = access.holder_of_id("lab").await.unwrap().1.unwrap();
        assert_eq!((by_id.claims, by_id.credential), (holder.claims, Credential::None));
        assert_eq!(access.holder_of_id("nobody").await.unwrap().1, None);

        // No secret twice.
        let error = access.add_token(token("lab", 1, &[]), event("x")).await.unwrap_err();
        assert!(!error.is_invalid_input(), "{error}");
        assert_eq!(leaves(&access, other.remove_token(added.id, Some("else"), event("x"))).await, None);
        let removed = changes(&access, other.remove_token(added.id, Some("lab"), event("token.revoke")));
        assert_eq!(removed.await, Some(added));
        assert_eq!(access.holder_of_token(&[1; 32]).await.unwrap().1, None);

        changes(&access, access.add_token(token("lab", 3, &[]), event("token.create"))).await;
        let by_secret = changes(&access, access.remove_token_with_secret(&[3; 32], event("token.revoke")));
        assert_eq!(by_secret.await.unwrap().name, "token 3");
        assert_eq!(leaves(&access, access.remove_token_with_secret(&[3; 32], event("x"))).await, None);

        // What failed or did nothing is not in the record.
        let events = access.events(None, 100).await.unwrap();
        let actions: Vec<&str> = events.iter().map(|event| event.event.action.as_str()).collect();
        assert_eq!(actions, ["token.revoke", "token.create", "token.revoke", "token.create", "user.create"]);
        assert_eq!(events[0].event.user.as_deref(), Some("lab"));
        assert_eq!(access.events(Some(events[2].seq), 1).await.unwrap(), events[3..4]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_come_change_and_go_with_all_that_is_theirs() {
    for test in both().await {
        let access = test.open().await.access();
        for id in ["b", "a", "it's@éé"] {
            access.add_user(user(id), &[read("/x"), read("/x")], event("user.create")).await.unwrap();
        }
        let error = access.add_user(user("a"), &[], event("x")).await.unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().starts_with("a: there is a user"), "{error}");
        for id in ["", "a\nb", &"x".repeat(256)] {
            assert!(access.add_user(user(id), &[], event("x")).await.unwrap_err().is_invalid_input());
        }
        let page = access.users(None, 2).await.unwrap();
        assert!(page.iter().map(|user| user.id.as_str()).eq(["a", "b"]), "{page:?}");
        assert_eq!(access.users(Some("b"), 9).await.unwrap()[0].id, "it's@éé");
        assert_eq!(access.user("nobody").await.unwrap(), None);

        // One claim of each kind and value.
        let [one] = access.claims_of("a").await.unwrap().try_into().unwrap();
        let same = leaves(&access, access.add_claim("a", read("/x"), event("x"))).await;
        assert_eq!(same, Some(one.clone()));
        assert_eq!(leaves(&access, access.add_claim("nobody", read("/x"), event("x"))).await, None);
        let two = changes(&access, access.add_claim("a", read("/y"), event("claim.create"))).await.unwrap();
        let error = access.add_claim("a", read(&"y".repeat(1001)), event("x")).await.unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert_eq!(access.claims_of("a").await.unwrap(), [one, two.clone()]);
        let removed = changes(&access, access.remove_claim(two.id, event("claim.remove"))).await;
        assert_eq!(removed, Some(two));
        assert_eq!(leaves(&access, access.remove_claim(Uuid::new_v4(), event("x"))).await, None);

        // A password ends sessions, a removed user has nothing left.
        let session = |user: &str, secret: u8| NewSession {
            user: user.to_owned(),
            secret: [secret; 32],
            agent: "browser\n1".to_owned(),
            expires_at_ms: LATER_MS,
        };
        changes(&access, access.add_session(session("a", 7), event("session.create"))).await.unwrap();
        let hash = || Some("$argon2id$…".to_owned());
        assert!(changes(&access, access.set_password("a", hash(), event("user.password"))).await);
        assert_eq!(access.password_hash("a").await.unwrap(), hash());
        assert!(access.user("a").await.unwrap().unwrap().has_password);
        assert_eq!(access.sessions_of("a").await.unwrap(), []);
        let kept = access.add_session(session("a", 8), event("session.create")).await.unwrap().unwrap();
        assert_eq!(kept.agent, "browser1");
        access.add_token(token("a", 8, &[]), event("token.create")).await.unwrap();
        access.accept_license("a", &"/x".parse().unwrap(), [1; 32], event("license.accept")).await.unwrap();
        assert!(changes(&access, access.remove_user("a", event("user.remove"))).await);
        assert!(!leaves(&access, access.remove_user("a", event("x"))).await);
        assert_eq!(access.holder_of_session(&[8; 32]).await.unwrap().1, None);
        assert_eq!(access.holder_of_token(&[8; 32]).await.unwrap().1, None);
        access.add_user(user("a"), &[], event("user.create")).await.unwrap();
        assert_eq!(access.claims_of("a").await.unwrap(), []);
        assert_eq!(access.tokens_of("a").await.unwrap(), []);
        assert_eq!(access.licenses_of("a").await.unwrap(), []);
        assert_eq!(access.claims_of("b").await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_providers_are_known_by_their_ids() {
    for test in both().await {
        let access = test.open().await.access();
        let of_provider = |name: &str| NewUser {
            id: "17@corp".to_owned(),
            name: name.to_owned(),
            scheme: Some("corp".to_owned()),
            password_hash: None,
        };
        changes(&access, access.known_user(of_provider("Ann"), event("user.create"))).await;
        leaves(&access, access.known_user(of_provider("Ann"), event("user.create"))).await;
        let named = changes(&access, access.known_user(of_provider("Ann B"), event("user.create"))).await;
        assert_eq!((named.name.as_str(), named.scheme.as_deref()), ("Ann B", Some("corp")));
        let local = NewUser { scheme: None, ..of_provider("Ann") };
        assert!(access.known_user(local, event("x")).await.unwrap_err().is_invalid_input());
        assert_eq!(access.events(None, 1).await.unwrap()[0].event.action, "user.rename");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_bring_its_user_and_the_first_one_comes_once() {
    for test in both().await {
        let access = test.open().await.access();
        let admin = Grant::new("role", "Administrator");
        let first = |secret| token("-", secret, std::slice::from_ref(&admin));
        // Several servers start at the same time.
        let starting: Vec<_> = (0..4)
            .map(|secret| {
                let (test, first) = (test.url().to_owned(), first(secret));
                tokio::spawn(async move {
                    let access = sheaf_db::Database::connect(&test).await.unwrap().access();
                    access.add_first_token(first, user("admin@cli"), event("token.create")).await.unwrap()
                })
            })
            .collect();
        let mut made = Vec::new();
        for start in starting {
            made.extend(start.await.unwrap());
        }
        assert_eq!((made.len(), made[0].user.as_str()), (1, "admin@cli"));
        assert_eq!(access.claims_of("admin@cli").await.unwrap().len(), 1);

        let with_user = async |secret, grants: &[Grant]| {
            access
                .add_token_with_user(token("-", secret, grants), user("lab@cli"), event("token.create"))
                .await
        };
        let one = with_user(10, &[read("/a")]).await.unwrap();
        let two = with_user(11, &[read("/a"), read("/b")]).await.unwrap();
        assert_eq!(access.claims_of("lab@cli").await.unwrap().len(), 2);
        let tokens = access.tokens_of("lab@cli").await.unwrap();
        assert!(tokens.iter().all(|token| [&one, &two].contains(&token)) && tokens.len() == 2);
        let mut all = access.tokens(None, 2).await.unwrap();
        all.extend(access.tokens(Some(all[1].id), 2).await.unwrap());
        assert_eq!(all.len(), 3);
        assert_eq!(access.add_first_token(first(12), user("new"), event("x")).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn licences_are_accepted_text_by_text_and_logins_taken_once() {
    for test in both().await {
        let access = test.open().await.access();
        let catalog = "/plant/mast".parse().unwrap();
        let accept = |license| access.accept_license("ann", &catalog, [license; 32], event("license.accept"));
        changes(&access, accept(1)).await;
        leaves(&access, accept(1)).await;
        changes(&access, accept(2)).await;
        let accepted = access.licenses_of("ann").await.unwrap();
        assert!(accepted.iter().map(|there| there.license[0]).eq([1, 2]), "{accepted:?}");
        assert_eq!(access.licenses_of("bob").await.unwrap(), []);

        let login = |state, expires_at_ms| Login {
            state: [state; 32],
            scheme: "corp".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            return_url: "/".to_owned(),
            expires_at_ms,
        };
        access.add_login(login(1, LATER_MS)).await.unwrap();
        access.add_login(login(2, 1)).await.unwrap();
        assert!(access.take_login(&[2; 32]).await.unwrap().is_none(), "too late");
        assert!(access.take_login(&[3; 32]).await.unwrap().is_none());
        assert!(access.take_login(&[1; 32]).await.unwrap() == Some(login(1, LATER_MS)));
        assert!(access.take_login(&[1; 32]).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_send_does_not_break_the_record() {
    for test in both().await {
        let access = test.open().await.access();
        let subject = format!("a\0b\n{}", "é".repeat(1000));
        access.record(NewEvent { subject, ..event("signin") }).await.unwrap();
        let [event] = access.events(None, 9).await.unwrap().try_into().unwrap();
        assert!(event.event.subject.starts_with("abéé"), "{event:?}");
        assert_eq!(event.event.subject.chars().count(), 300);
        assert_eq!((event.seq, event.event.detail), (1, json!({"why": "test"})));
    }
}

/// What each request over HTTP asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_changes_is_cheap() {
    let test = TestDatabase::sqlite();
    let access = test.open().await.access();
    access.add_user(user("a"), &[], event("x")).await.unwrap();
    const ROUNDS: u32 = 2000;
    let begun = std::time::Instant::now();
    for _ in 0..ROUNDS {
        access.state().await.unwrap();
    }
    let each = begun.elapsed() / ROUNDS;
    assert!(each.as_micros() < 2000, "{each:?}");
    println!("one by one: {each:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_has_its_time() {
    for test in both().await {
        let access = test.open().await.access();
        assert_eq!(access.remove_events(LATER_MS, 9).await.unwrap(), 0);
        for number in 0..5 {
            access.record(event(&number.to_string())).await.unwrap();
        }
        let first = access.events(None, 9).await.unwrap()[4].clone();
        assert_eq!(access.remove_events(first.at_ms, 9).await.unwrap(), 0, "not older than that");
        assert_eq!(access.remove_events(LATER_MS, 2).await.unwrap(), 2);
        let left: Vec<i64> = access.events(None, 9).await.unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(left, [5, 4, 3]);
        // The last one stays, so that no number comes twice.
        assert_eq!(access.remove_events(LATER_MS, 9).await.unwrap(), 2);
        assert_eq!(access.remove_events(LATER_MS, 9).await.unwrap(), 0);
        access.record(event("next")).await.unwrap();
        assert_eq!(access.events(None, 1).await.unwrap()[0].seq, 6);
    }
}
